import type { Performable } from '../job-class';
import type { ClassPlan } from './class-plan';
import { around } from './middleware';

/** `perform` with the class's own callbacks: beforePerform, then aroundPerform around perform, then afterPerform. */
export async function performWithCallbacks(
  job: Performable,
  plan: ClassPlan,
  args: readonly unknown[],
): Promise<unknown> {
  const given = args as never[];
  let performed = false;
  let result: unknown;
  const perform = async () => {
    result = await job.perform(...given);
    performed = true;
  };
  if (plan.before) await job.beforePerform?.(...given);
  if (plan.around) {
    await around((next) => job.aroundPerform?.(next, ...given), perform, `aroundPerform of ${plan.name}`);
  } else await perform();
  if (plan.after && performed) await job.afterPerform?.(...given);
  return result;
}
