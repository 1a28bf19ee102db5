import assert from 'node:assert/strict';
import WelcomeEmailJob from '../../jobs/welcome-email';
import { User } from '../../lib/app/models/user';
import { TestTransport } from '../../lib/mailer/transport/test';
import { Stage } from './stage';

describe('WelcomeEmailJob', () => {
  let stage: Stage;
  const transport = new TestTransport();
  before(async () => {
    stage = await Stage.open({}, { transport, migrated: true });
    User.knex(stage.database.knex);
  });
  after(() => stage.close());

  const insert = async (email: string, locale: string) => {
    const [row] = await stage.testDatabase.query<{ id: string }>(
      `insert into users (email, name, locale, token_digest) values ($1, $2, $3, '') returning id`,
      [email, '민지', locale],
    );
    return row?.id ?? assert.fail();
  };

  it('runs on the mailer queue', () => assert.equal(WelcomeEmailJob.queue, 'mailer'));

  it('welcomes the user in the language of the user', async () => {
    await new WelcomeEmailJob().perform(await insert('minji@example.com', 'ko'));
    const [mail] = transport.messages;
    assert.equal(mail?.subject, '민지 님, Catamount에 오신 것을 환영합니다');
    assert.deepEqual(mail?.to, [{ name: '민지', address: 'minji@example.com' }]);
  });

  it('does nothing for a user who is gone, and none for one without an address', async () => {
    transport.messages.length = 0;
    await new WelcomeEmailJob().perform('4711');
    await new WelcomeEmailJob().perform(await insert('', 'en'));
    assert.deepEqual(transport.messages, []);
  });
});
