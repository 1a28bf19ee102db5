import assert from 'node:assert/strict';
import { until } from '../support/until';
import { Stage } from './stage';

describe("the app's job setup", () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.make();
  });
  after(() => stage.remove());

  it('is at work in the web workers and in the job processor', async () => {
    const tree = await stage.start({ WEB_CONCURRENCY: '1', LOG_LEVEL: 'debug', LOG_FORMAT: 'json' });
    assert.equal((await tree.request('POST', '/gloomy-job')).status, 202);
    await until('the failure is reported', () => stage.jobNotes().length === 3);
    const args = [{ iban: 'DE02 1203', name: 'Ann' }];
    const shown = [{ iban: '[FILTERED]', name: 'Ann' }];
    assert.deepEqual(stage.jobNotes(), [
      { enqueues: 'GloomyJob', title: 'catamount: web' },
      { performs: 'GloomyJob', args, title: 'catamount: jobs' },
      { reports: 'dead', job: 'GloomyJob', attempt: 1, args: shown, message: 'there is no hope', requested: true },
    ]);
    const [failed] = await until('the tracker is told of', () => {
      const lines = tree.linesMatching(/the app's reportError: the tracker is down/);
      return lines.length > 0 ? lines : undefined;
    });
    assert.ok(failed);
    for (const text of [/GloomyJob starts, attempt 1/, /GloomyJob is dead: there is no hope/]) {
      const [line] = tree.linesMatching(text);
      assert.match(line?.text ?? '', /"args":\[\{"iban":"\[FILTERED\]","name":"Ann"\}\]/);
    }
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });

  it('that does not load stops the start, and is named', async () => {
    const mend = stage.spoil('broken-setup');
    try {
      const tree = stage.spawn({ WEB_CONCURRENCY: '1' });
      const { code } = await tree.exited;
      assert.equal(code, 1);
      assert.ok(tree.linesMatching(/jobSetup \(\.\/job-setup\) cannot be loaded: a broken job setup/).length > 0);
      await tree.allGone();
    } finally {
      mend();
    }
  });
});
