import { HTTP } from './families/http';
import { JOBS } from './families/jobs';
import { MAILS } from './families/mails';
import { PROCESSES } from './families/processes';
import { QUEUES } from './families/queues';
import { TREE } from './families/tree';
import type { Family } from './family';

/** All that /ops/metrics tells, in this order. */
export const FAMILIES: readonly Family[] = [...TREE, ...PROCESSES, ...HTTP, ...JOBS, ...QUEUES, ...MAILS];
