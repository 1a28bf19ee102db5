import assert from 'node:assert/strict';
import { broadcast, type Channel, connectBroadcasts, subscribe } from '../../lib/broadcast/broadcast';
import { NotConnectedError } from '../../lib/core/errors';
import { currentContext, runInContext } from '../../lib/core/execution-context';
import { connectTransactions, currentTransaction, transaction } from '../../lib/model/transaction';
import { defineApp } from '../../lib/role/app/app-definition';
import { request, useFakeJobs } from '../../lib/testing';
import { useDatabase, usePostgres } from '../support/stores';
import { until } from '../support/until';

interface News {
  readonly text: string;
}
const news: Channel<News> = 'news';

describe('broadcast and subscribe within one process', () => {
  const errors: string[] = [];
  let heard: string[];
  let ends: (() => void)[];
  beforeEach(() => {
    heard = [];
    ends = [];
    errors.length = 0;
    connectBroadcasts({ carriers: [], onError: (error, during) => errors.push(`${during}: ${error.message}`) });
  });
  afterEach(() => {
    for (const end of ends) end();
    connectBroadcasts(undefined);
  });

  const hear = (name: string, then: (text: string) => unknown = () => undefined) => {
    ends.push(
      subscribe(news, ({ text }) => {
        heard.push(`${name}: ${text}`);
        return then(text);
      }),
    );
  };
  const last = (text: string) => until(`${text} is heard`, () => heard.some((one) => one.endsWith(text)));

  it('gives each message to each subscriber of its channel once, in order, until it unsubscribes', async () => {
    const endEarly = subscribe(news, () => undefined);
    endEarly();
    hear('a', (text) => text === 'one' && broadcast(news, { text: 'in between' }));
    endEarly();
    hear('b');
    ends.push(subscribe('other', () => heard.push('other')));
    broadcast(news, { text: 'one' });
    broadcast(news, { text: 'two' });
    await until('all are heard', () => heard.length === 6);
    const texts = ['one', 'two', 'in between'];
    assert.deepEqual(
      heard,
      texts.flatMap((text) => [`a: ${text}`, `b: ${text}`]),
    );
    ends[0]?.();
    broadcast(news, { text: 'three' });
    await last('three');
    assert.deepEqual(heard.slice(6), ['b: three']);
  });

  it('passes messages through JSON, also within the process', async () => {
    const message = { text: 'as it was' };
    hear('a');
    broadcast(news, message);
    message.text = 'changed';
    await last('as it was');
  });

  it('reports the error of a subscriber, thrown or rejected, and the others hear the message', async () => {
    hear('throws', () => {
      throw new Error('no');
    });
    hear('rejects', async () => {
      throw new Error('not now');
    });
    hear('b');
    broadcast(news, { text: 'one' });
    await until('both are reported', () => errors.length === 2);
    assert.deepEqual(errors, ['a subscriber of news: no', 'a subscriber of news: not now']);
    assert.deepEqual(heard, ['throws: one', 'rejects: one', 'b: one']);
  });

  it('calls a subscriber in the context of its subscription', async () => {
    const ids: (string | undefined)[] = [];
    runInContext({ requestId: 'of the subscriber' }, () => {
      ends.push(subscribe(news, () => ids.push(currentContext().requestId)));
    });
    runInContext({ requestId: 'of the sender' }, () => broadcast(news, { text: 'one' }));
    await until('it is heard', () => ids.length > 0);
    assert.deepEqual(ids, ['of the subscriber']);
  });

  it('rejects names and messages that cannot travel, and says why', () => {
    const name = /a channel is named by 1 to 200 characters without blanks, such as room:7; this is /;
    for (const wrong of ['', 'my room', 'a\n', 'x'.repeat(201), undefined, 7]) {
      assert.throws(() => broadcast(wrong as string, 1), name);
      assert.throws(() => subscribe(wrong as string, () => undefined), name);
    }
    assert.throws(() => broadcast('news', undefined), /a message to news must be a JSON value; it is undefined/);
    assert.throws(() => broadcast('news', () => 1), /a message to news must be a JSON value; it is function/);
    assert.throws(() => broadcast('news', 1n), TypeError);
    broadcast('x'.repeat(200), 'x'.repeat(65_534));
    assert.throws(() => broadcast('news', 'ü'.repeat(32_768)), /is 65538 bytes of JSON/);
    assert.throws(
      () => broadcast('news', 'x'.repeat(65_535)),
      /^RangeError: a message to news is 65537 bytes of JSON, and at most 65536 are allowed: send the id of what it is about/,
    );
  });

  it('can be subscribed to before the process is connected, but nothing can be broadcast', async () => {
    hear('a');
    connectBroadcasts(undefined);
    hear('b');
    assert.throws(() => broadcast(news, { text: 'too early' }), NotConnectedError);
    const afar = {
      listen: async (bring: (frame: string) => void) => bring('news {"text":"afar"}'),
      send: () => undefined,
    };
    connectBroadcasts({ carriers: [afar], onError: assert.fail });
    broadcast(news, { text: 'one' });
    await last('one');
    assert.deepEqual(heard, ['a: afar', 'b: afar', 'a: one', 'b: one']);
  });

  it("works in an app's tests without a setup of its own", async () => {
    connectBroadcasts(undefined);
    const shop = defineApp({
      name: 'shop',
      root: __dirname,
      routes: async () => ({
        default: (router) => {
          router.post('/news', (ctx) => {
            broadcast(news, ctx.request.body as News);
            ctx.status = 204;
          });
        },
      }),
    });
    hear('test');
    assert.equal((await request(shop).post('/news', { json: { text: 'one' } })).status, 204);
    assert.deepEqual(heard, ['test: one']);
    connectBroadcasts(undefined);
    const jobs = await useFakeJobs();
    broadcast(news, { text: 'two' });
    await last('two');
    await jobs.restore();
  });

  describe('inside transaction()', () => {
    const database = useDatabase(usePostgres());
    beforeEach(() => connectTransactions(database.knex));
    afterEach(() => connectTransactions(undefined));

    it('sends after the commit, outside the transaction, and never after a rollback', async () => {
      const within: boolean[] = [];
      hear('a', () => within.push(currentTransaction() !== undefined));
      const refused = transaction(async () => {
        broadcast(news, { text: 'rolled back' });
        throw new Error('no');
      });
      await assert.rejects(refused);
      await transaction(async () => {
        await transaction(async () => broadcast(news, { text: 'first' }));
        broadcast(news, { text: 'second' });
        await currentTransaction()?.raw('select 1');
        assert.deepEqual(heard, []);
      });
      await last('second');
      assert.deepEqual(heard, ['a: first', 'a: second']);
      assert.deepEqual(within, [false, false]);
    });
  });
});
