import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { NoteJob, ran } from '../note-job';

describe('jobs of which Redis tells nobody', () => {
  const system = useJobSystem({ empty: [ran] });
  const redis = (...command: string[]) => system.redis.client.sendCommand<string>(command);
  const waiting = async () => / id=(\d+) .* cmd=brpop /.exec(`\n ${await redis('CLIENT', 'LIST', 'TYPE', 'normal')}`);

  it('run although it has closed the connection that waits for hints, and accepts no other', async () => {
    await system.processor([NoteJob]);
    const [, id = ''] = await until('the processor waits for a hint', waiting);
    await redis('CONFIG', 'SET', 'maxclients', '1');
    try {
      await redis('CLIENT', 'KILL', 'ID', id);
      await NoteJob.performLater('enqueued meanwhile');
      await until('the job has run', () => ran.length === 1);
    } finally {
      await redis('CONFIG', 'SET', 'maxclients', '10000');
    }
  });
});
