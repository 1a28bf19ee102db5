import type { JobSetup } from '../../../../lib/job/definition/setup';

const setup: JobSetup = { filterArguments: ['email'] };

export default setup;
