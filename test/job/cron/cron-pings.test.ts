import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Job } from '../../../lib/job/job';
import { Deadline } from '../../../lib/support/deadline';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

describe('the monitor of a recurring job', () => {
  const system = useJobSystem();
  const asked: string[] = [];
  const answers: number[] = [];
  let held: (() => void) | undefined;
  let holds = false;
  let server: http.Server;
  let url = '';
  beforeEach(async () => {
    asked.length = answers.length = 0;
    server = http.createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      const answer = () => response.writeHead(answers.shift() ?? 200).end('OK');
      if (holds) held = answer;
      else answer();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a-secret`;
  });
  afterEach(() => {
    holds = false;
    server.closeAllConnections();
    server.close();
  });

  const jobClass = (ping: string) =>
    class ReportJob extends Job<[fails?: boolean]> {
      static override readonly cron = { at: '@yearly', ping };
      static override readonly retry = { limit: 0 };
      perform(fails = false): void {
        if (fails) throw new Error('no figures');
      }
    };
  class OtherJob extends Job {
    perform(): void {}
  }

  it('hears of each success and of each death, and of no other class', async () => {
    const ReportJob = jobClass(url);
    await system.processor([ReportJob, OtherJob]);
    await OtherJob.performLater();
    await ReportJob.performLater();
    await until('a ping', () => asked.length === 1);
    await ReportJob.performLater(true);
    await until('another', () => asked.length === 2);
    assert.deepEqual(asked, ['GET /a-secret', 'GET /a-secret/fail']);
  });

  it('is asked again when it fails, and the log names its host without the secret', async () => {
    answers.push(503, 503, 200, 503, 503, 503);
    const ReportJob = jobClass(url);
    await system.processor([ReportJob]);
    await ReportJob.performLater();
    await until('three tries', () => asked.length === 3);
    assert.deepEqual(system.eventsNamed('cron.ping-failed'), []);
    await ReportJob.performLater();
    const [failed] = await until('it is told', () => {
      const told = system.eventsNamed('cron.ping-failed');
      return told.length > 0 && told;
    });
    assert.deepEqual([failed?.class, failed?.host], ['ReportJob', new URL(url).host]);
    assert.equal(failed?.error.message, 'the answer was 503');
  });

  it('hears of the last job before a stop', async () => {
    holds = true;
    const ReportJob = jobClass(url);
    const processor = await system.processor([ReportJob]);
    await ReportJob.performLater();
    await until('it is asked', () => held);
    let hasStopped = false;
    const stopping = processor.stop(Deadline.after(20_000)).then(() => {
      hasStopped = true;
    });
    await until('the queue is left', async () => (await system.jobCount()) === 0);
    assert.equal(hasStopped, false);
    held?.();
    await stopping;
  });
});
