import type { OpsContext } from '../context';
import { refusal } from '../page/refusal';

/** What shows addresses, arguments or contents is for operators. @throws ProblemError 403 for a viewer. */
export function assertOperator(ctx: OpsContext): void {
  if (ctx.state.visitor.role !== 'operator') throw refusal(403, 'viewer');
}
