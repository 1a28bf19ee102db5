import { order } from '../../supervisor/operator';
import type { Scene } from '../scene/scene';
import type { Fault } from './fault';

/** Resolves when it is complete, or was given up: whatever else happens may have ended the primary. */
export async function restartByPhases({ platform }: Scene): Promise<void> {
  await order(platform.tree, 'phased-restart').catch(() => undefined);
}

export const PHASED_RESTART: Fault = {
  name: 'phased-restart',
  about: 'every worker and the job processor are replaced, one after the other',
  strike: restartByPhases,
};

/** The same while every process is being replaced. */
export function duringPhasedRestart(fault: Fault): Fault {
  return {
    ...fault,
    name: `${fault.name}+restart`,
    about: `${fault.about}; during a phased restart`,
    async strike(scene, roll) {
      const restarted = restartByPhases(scene);
      await fault.strike(scene, roll);
      await restarted;
    },
  };
}
