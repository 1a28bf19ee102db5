import assert from 'node:assert/strict';
import { until } from '../support/until';
import { Stage } from './stage';

describe('a mail for later', () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.make();
  });
  after(() => stage.remove());

  it('is asked for in a web worker, which stays light, and delivered by the job processor with the mail setup', async () => {
    const tree = await stage.start({ WEB_CONCURRENCY: '1', LOG_FORMAT: 'json' });
    const headers = { 'Accept-Language': 'ko' };
    const answer = await tree.request('POST', '/notices?to=ada@example.com', { headers });
    assert.deepEqual(answer.json(), { enqueued: true, loaded: [] });
    await until('the mail is out', () => stage.mailNotes().length > 0);
    assert.deepEqual(stage.mailNotes(), [
      {
        mailer: 'NoticeMailer',
        action: 'notice',
        to: 'staging@patience.example',
        subject: 'acme at 1970-01-01T00:00:00.000Z',
        text: 'notice_mailer/notice in ko\n',
        title: 'catamount: jobs',
      },
    ]);
    const [done] = await until('the log tells of it', () => {
      const lines = tree.linesMatching(/mail NoticeMailer#notice sent by log/);
      return lines.length > 0 ? lines : undefined;
    });
    assert.equal(done?.json.jobClass, 'catamount.deliver-mail');
    const records = await stage.database.query('select state, recipients from mail_deliveries');
    assert.deepEqual(records, [{ state: 'sent', recipients: ['staging@patience.example'] }]);
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });
});
