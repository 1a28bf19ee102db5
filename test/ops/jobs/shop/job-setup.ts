import type { JobSetup } from '../../../../lib/job/setup';

const setup: JobSetup = { filterArguments: ['email'] };

export default setup;
