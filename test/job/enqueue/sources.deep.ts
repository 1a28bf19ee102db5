import { useSupervisorApp } from '../../cluster/primary/supervisor-app';

describe('LOG_ENQUEUES', () => {
  const app = useSupervisorApp();

  it('makes a worker name the line of the app that enqueues', async () => {
    const tree = await app.start({ WEB_CONCURRENCY: '1', LOG_ENQUEUES: '1' });
    await tree.request('POST', '/waiting-job?name=one&flag=none');
    await tree.waitForLine(/enqueued WaitingJob on default, in .*supervisor-app\S*routes\.[jt]s:\d+/);
    await tree.stop();
  });
});
