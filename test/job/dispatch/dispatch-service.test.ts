import { DispatchService } from '../../../lib/job/dispatch/dispatch-service';
import { Gate } from '../../../lib/job/dispatch/gate';
import { notify } from '../../../lib/job/hint/notifier';
import { Deadline } from '../../../lib/support/deadline';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

describe('the dispatcher of a tree without Redis, beside one that has it', () => {
  const system = useJobSystem();

  it('is told of jobs that were hinted at there', async () => {
    const { database, events } = system;
    let looks = 0;
    const service = new DispatchService({
      database,
      redis: undefined,
      hints: undefined,
      gate: new Gate({ knex: database.knex, onCopy: () => undefined }),
      limits: new Map(),
      events,
      production: false,
      identity: 'alone',
      onMayBeReady: () => looks++,
      onPrioritised: () => undefined,
      onCronNotice: () => undefined,
      onCancelNotice: () => undefined,
      onRescued: () => undefined,
      onClockJump: () => undefined,
    });
    service.start();
    try {
      await until('it listens', () => service.listening === true);
      const before = looks;
      await notify(database.knex, 'hinted');
      await until('it has looked', () => looks > before);
    } finally {
      await service.stop(Deadline.after(5000));
    }
  });
});
