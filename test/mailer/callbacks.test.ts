import assert from 'node:assert/strict';
import { runInContext } from '../../lib/core/execution-context';
import {
  DeliveryInProgressError,
  InvalidMailError,
  PermanentDeliveryError,
  TemplateError,
} from '../../lib/mailer/definition/errors';
import type { OutgoingMessage, Receipt } from '../../lib/mailer/definition/mail-types';
import type { MailSetup } from '../../lib/mailer/definition/setup';
import { Mailer } from '../../lib/mailer/mailer';
import { TestTransport } from '../../lib/mailer/transport/local-transports';
import { deferred } from '../../lib/support/deferred';
import { inSuite } from '../support/suite';
import { until } from '../support/until';
import { folderOf, MailSystem } from './mail-system';

const heard: string[] = [];

class BaseMailer extends Mailer<{ readonly stop?: string; readonly fail?: string }> {
  static override readonly layout = false;
  static {
    this.rescueFrom(RangeError, (error) => heard.push(`base: ${error.message}`));
    this.rescueFrom(TypeError, (error) => heard.push(`base: ${error.message}`));
  }
  override beforeAction(action: string): void {
    this.step(`beforeAction ${action}`);
  }
  override async afterAction(): Promise<void> {
    this.step('afterAction');
  }
  override beforeDeliver(message: OutgoingMessage): void {
    this.step(`beforeDeliver ${message.text.trim()}`);
  }
  override afterDeliver({ subject }: OutgoingMessage, { response }: Receipt): void {
    this.step(`afterDeliver ${subject} ${response}`);
  }
  protected step(name: string): void {
    heard.push(name);
    const [at] = name.split(' ');
    if (this.params.stop === at) this.cancel(`not ${at}`);
    if (this.params.fail === at) throw new Error(`broken ${at}`);
  }
}

class NoteMailer extends BaseMailer {
  static readonly note = this.action('note');
  static readonly broken = this.action('broken');
  static {
    this.rescueFrom(TypeError, (error) => heard.push(`too early: ${error.message}`));
    this.rescueFrom([TypeError, PermanentDeliveryError], (error, mailer) => {
      heard.push(`${mailer instanceof NoteMailer} note: ${error.message}`);
    });
    this.rescueFrom(
      (error) => error.message === 'rethrow',
      (error) => {
        throw new Error(`worse than ${error.message}`);
      },
    );
    this.rescueFrom(SyntaxError, (_error, mailer) => mailer.cancel('seen to'));
  }
  note(error?: Error) {
    this.step('action');
    if (error) throw error;
    return this.mail({ to: 'ada@example.com', subject: 'Hi' });
  }
  broken() {
    return this.mail({ to: 'ada@example.com', subject: 'Hi' });
  }
}

class PlainMailer extends Mailer {
  static override readonly layout = false;
  static readonly note = this.action('note');
  note() {
    return this.mail({ to: 'ada@example.com', subject: 'Hi', template: 'note_mailer/note' });
  }
}

describe('callbacks', () => {
  const transport = new TestTransport();
  const setup: { -readonly [K in keyof MailSetup]: MailSetup[K] } = {};
  const templates = { 'note_mailer/note/text.ejs': 'Hello', 'note_mailer/broken/text.ejs': '<%= nothing.here %>' };
  const system = inSuite('close', () => MailSystem.open({}, { transport, setup, templatesDir: folderOf(templates) }));
  beforeEach(() => {
    for (const list of [heard, transport.messages, system.heard]) list.length = 0;
    delete setup.interceptors;
    delete setup.observers;
  });

  const job = <T>(jobId: string, work: () => T): T => runInContext({ jobId, attempt: 1 }, work);

  it('run in order around the action and the delivery', async () => {
    setup.interceptors = [
      (message) => {
        heard.push('interceptor');
        return message;
      },
    ];
    setup.observers = [async () => heard.push(`observer of a mail that is ${(await system.records()).at(-1)?.state}`)];
    await NoteMailer.note().deliverNow();
    assert.deepEqual(heard, [
      'beforeAction note',
      'action',
      'afterAction',
      'beforeDeliver Hello',
      'interceptor',
      'afterDeliver Hi undefined',
      'observer of a mail that is sent',
    ]);
  });

  for (const stop of ['beforeAction', 'action', 'afterAction', 'beforeDeliver']) {
    it(`may cancel the mail: ${stop}`, async () => {
      const result = await job(stop, () => NoteMailer.with({ stop }).note().deliverNow());
      assert.deepEqual(result, { status: 'skipped', reason: `not ${stop}` });
      assert.deepEqual(system.all('mail.skipped'), [{ mailer: 'NoteMailer', action: 'note', reason: `not ${stop}` }]);
      assert.deepEqual([transport.messages, system.all('mail.failed')], [[], []]);
      assert.equal(heard.at(-1)?.split(' ')[0], stop);
      // It leaves no record, so that another run may send it.
      assert.deepEqual(
        (await system.records()).filter(({ key }) => String(key).startsWith(stop)),
        [],
      );
      if (stop !== 'beforeDeliver') assert.equal(await NoteMailer.with({ stop }).note().build(), undefined);
    });
  }

  for (const fail of ['beforeAction', 'action', 'afterAction', 'beforeDeliver']) {
    it(`fail the mail if they throw: ${fail}`, async () => {
      await assert.rejects(NoteMailer.with({ fail }).note().deliverNow(), new RegExp(`broken ${fail}`));
      assert.equal(system.all('mail.failed').length, 1);
      assert.equal(transport.messages.length, 0);
    });
  }

  it('after delivery cannot fail the mail: errors in afterDeliver and observers are reported', async () => {
    setup.observers = [() => Promise.reject(new Error('broken observer')), () => heard.push('second')];
    const { status } = await NoteMailer.with({ fail: 'afterDeliver' }).note().deliverNow();
    assert.equal(status, 'sent');
    assert.deepEqual(
      system.all('process.error').map(({ during, error }) => `${during}: ${error.message}`),
      ['afterDeliver of a mailer: broken afterDeliver', 'an observer of mails: broken observer'],
    );
    assert.equal(heard.at(-1), 'second');
  });

  it('fail the mail if an interceptor throws, returns no message or makes the message invalid', async () => {
    setup.interceptors = [() => Promise.reject(new Error('away'))];
    await assert.rejects(PlainMailer.note().deliverNow(), /away/);
    setup.interceptors = [function forget() {} as never];
    await assert.rejects(
      PlainMailer.note().deliverNow(),
      /the interceptor forget returned undefined; return the message/,
    );
    setup.interceptors = [(message) => ({ ...message, to: 'nobody' })];
    await assert.rejects(PlainMailer.note().deliverNow(), InvalidMailError);
    setup.interceptors = [(message) => ({ ...message, to: [], cc: [], bcc: [] })];
    await assert.rejects(
      PlainMailer.note().deliverNow(),
      /after the interceptors the mail has no recipient: to send none, return 'cancel'/,
    );
    const evil = 'a\r\nBcc: x@evil.example';
    for (const [change, expected] of [
      [{ subject: evil }, /subject: .* contains a line break/],
      [{ messageId: evil }, /messageId: .* contains a line break/],
      [{ headers: { 'X-A': evil } }, /X-A: .* contains a line break/],
      [{ attachments: [{ name: evil, content: Buffer.from('') }] }, /attachments: .* contains a line break/],
      [{ attachments: [{ name: 'a', type: evil, content: Buffer.from('') }] }, /the type of a is/],
      [{ attachments: [{ name: 'a', cid: evil, content: Buffer.from('') }] }, /attachments: .* contains a line break/],
      [{ from: [] }, /after the interceptors the mail needs one sender in from/],
      [{ from: ['a@b', 'c@d'] }, /after the interceptors the mail needs one sender in from/],
      [{ cc: 'nobody' }, /^InvalidMailError: cc: "nobody"/],
      [{ bcc: 'nobody' }, /^InvalidMailError: bcc: "nobody"/],
      [{ replyTo: 'nobody' }, /^InvalidMailError: replyTo: "nobody"/],
    ] as const) {
      setup.interceptors = [(message) => ({ ...message, ...change })];
      await assert.rejects(PlainMailer.note().deliverNow(), expected);
      // Mutated in place, as plain JavaScript may do.
      setup.interceptors = [(message) => Object.assign(message, change)];
      await assert.rejects(PlainMailer.note().deliverNow(), expected);
    }
    assert.equal(transport.messages.length, 0);
  });

  it('may change the message in beforeDeliver, after which it is validated again', async () => {
    class ChangingMailer extends Mailer {
      static override readonly layout = false;
      static readonly note = this.action('note');
      override beforeDeliver(message: OutgoingMessage): void {
        Object.assign(message, { to: [], subject: 'changed', ...JSON.parse(message.subject) });
      }
      note(change: object = {}) {
        const template = 'note_mailer/note';
        return this.mail({ to: 'ada@example.com', subject: JSON.stringify(change), template });
      }
    }
    await ChangingMailer.note({ to: 'bob@example.com' }).deliverNow();
    const [mail] = transport.messages;
    assert.deepEqual([mail?.subject, mail?.to], ['changed', [{ name: '', address: 'bob@example.com' }]]);
    await assert.rejects(ChangingMailer.note().deliverNow(), /after beforeDeliver the mail has no recipient/);
    await assert.rejects(ChangingMailer.note({ to: 'a@b', subject: 'x\r\ny' }).deliverNow(), InvalidMailError);
  });

  describe('around', () => {
    /** What its callbacks do around the sending; each test sets its own. */
    let around: (deliver: () => Promise<void>) => unknown = (deliver) => deliver();
    class AroundMailer extends BaseMailer {
      static readonly note = this.action('note');
      override async aroundAction(run: () => Promise<void>, action: string): Promise<void> {
        heard.push(`around ${action}`);
        if (this.params.stop !== 'aroundAction') await run();
        heard.push('action is done');
      }
      override async aroundDeliver(deliver: () => Promise<void>, { subject }: OutgoingMessage): Promise<void> {
        heard.push(`around ${subject}`);
        await around(deliver);
      }
      note() {
        return this.mail({ to: 'ada@example.com', subject: 'Hi', text: 'Hello' });
      }
    }
    const deliver = (jobId: string) => job(jobId, () => AroundMailer.note().deliverNow());
    const states = async (jobId: string) =>
      (await system.records()).filter(({ key }) => String(key).startsWith(`${jobId}/`)).map(({ state }) => state);

    it('runs around the action and around the sending, which is recorded inside', async () => {
      around = async (send) => {
        await send();
        heard.push(`${await states('around')} and done`);
      };
      await deliver('around');
      assert.deepEqual(heard, [
        'beforeAction note',
        'around note',
        'action is done',
        'afterAction',
        'beforeDeliver Hello',
        'around Hi',
        'afterDeliver Hi undefined',
        'sent and done',
      ]);
    });

    it('sends nothing without the call', async () => {
      const silent = await AroundMailer.with({ stop: 'aroundAction' }).note().deliverNow();
      assert.deepEqual(silent, { status: 'skipped', reason: 'the action built no mail' });
      around = () => undefined;
      assert.deepEqual(await deliver('uncalled'), { status: 'skipped', reason: 'aroundDeliver did not deliver it' });
      around = () => Promise.reject(new Error('not now'));
      await assert.rejects(deliver('before'), /not now/);
      assert.deepEqual(
        [transport.messages.length, await states('uncalled'), await states('before')],
        [0, [], ['failed']],
      );
    });

    it('cannot fail a mail that is out, send it twice or hide that it is not out', async () => {
      const { send } = transport;
      const broken = () => system.all('process.error').map(({ during, error }) => `${during}: ${error.message}`);
      around = async (deliverIt) => {
        await deliverIt();
        throw new Error('too late');
      };
      assert.equal((await deliver('after')).status, 'sent');
      around = (deliverIt) => deliverIt().then(deliverIt);
      assert.equal((await deliver('twice')).status, 'sent');
      around = (deliverIt) => void deliverIt();
      assert.equal((await deliver('unawaited')).status, 'sent');
      const at = 'aroundDeliver of a mailer: ';
      assert.deepEqual(broken(), [
        `${at}too late`,
        `${at}aroundDeliver of AroundMailer called next() twice`,
        `${at}aroundDeliver of AroundMailer did not await next()`,
      ]);
      assert.equal(transport.messages.length, 3);
      transport.send = () => Promise.reject(new Error('server is away'));
      around = (deliverIt) => deliverIt().catch(() => undefined);
      try {
        await assert.rejects(deliver('hidden'), /server is away/);
      } finally {
        transport.send = send;
      }
      assert.deepEqual(await states('hidden'), ['failed']);
    });
  });

  describe('that are added by callback()', () => {
    const note = (name: string) => () => void heard.push(name);
    class ListMailer extends Mailer {
      static readonly one = this.action('one');
      static readonly two = this.action('two');
      static {
        this.callback('beforeAction', note('parent'));
        this.callback('beforeAction', (mailer) => mailer.stop(), { only: ['two'] });
        this.callback('afterAction', note('parent after'));
        this.callback('afterDeliver', note('parent sent'));
        this.callback('aroundAction', async (_mailer, run, action) => {
          heard.push(`around ${action}`);
          await run();
        });
      }
      override beforeAction(): void {
        heard.push('method');
      }
      protected stop(): void {
        this.cancel('two is stopped');
      }
      one() {
        return this.mail({ to: 'ada@example.com', subject: 'One', text: 'Hello' });
      }
      two() {
        return this.mail({ to: 'ada@example.com', subject: 'Two', text: 'Hello' });
      }
    }
    class ChildMailer extends ListMailer {
      static {
        this.callback('beforeAction', note('not one'), { except: 'one' });
        this.callback('beforeAction', note('child'), { only: 'one' });
        this.callback('afterAction', note('child after'));
        this.callback('beforeDeliver', (_mailer, message) => Object.assign(message, { subject: 'Changed' }));
        this.callback('aroundDeliver', async (_mailer, deliver) => {
          await deliver();
          heard.push('out');
        });
        this.callback('afterDeliver', (_mailer, { subject }) => heard.push(`sent ${subject}`), { except: 'two' });
      }
    }

    it('run for the actions that they name, from the parent to the method, and back', async () => {
      await ChildMailer.one().deliverNow();
      const before = ['parent', 'child', 'method', 'around one'];
      assert.deepEqual(heard, [...before, 'child after', 'parent after', 'sent Changed', 'parent sent', 'out']);
      heard.length = 0;
      const result = await ChildMailer.two().deliverNow();
      assert.deepEqual([result, heard], [{ status: 'skipped', reason: 'two is stopped' }, ['parent']]);
      await ListMailer.one().deliverNow();
      assert.deepEqual(heard.slice(1), ['parent', 'method', 'around one', 'parent after', 'parent sent']);
    });

    it('are refused with an unknown kind, an unknown action or no function', () => {
      class Wrong extends ListMailer {
        static loose(...args: readonly unknown[]): void {
          (this.callback as (...given: readonly unknown[]) => void)(...args);
        }
      }
      assert.throws(() => Wrong.loose('beforeMail', () => 1), /^TypeError: Wrong\.callback: beforeMail is no callback/);
      assert.throws(
        () => Wrong.loose('beforeAction', 'stop'),
        /^TypeError: Wrong\.callback: beforeAction is not a fun/,
      );
      // @ts-expect-error it has no such action
      assert.throws(() => Wrong.callback('beforeAction', () => 1, { only: 'tow' }), /Wrong has no action tow/);
    });
  });

  describe('rescueFrom', () => {
    it('handles an error, by the rules of the class before those of its parent, the latest first', async () => {
      const result = await NoteMailer.note(new TypeError('odd')).deliverNow();
      assert.deepEqual(result, { status: 'skipped', reason: 'its mailer handled TypeError: odd' });
      await NoteMailer.note(new RangeError('far')).deliverNow();
      assert.deepEqual(
        heard.filter((line) => /odd|far/.test(line)),
        ['true note: odd', 'base: far'],
      );
      assert.equal(system.all('mail.failed').length, 0);
    });

    it('also handles errors of the delivery; the record still says that it failed', async () => {
      const send = transport.send;
      transport.send = () => Promise.reject(new PermanentDeliveryError('550 no', 550, undefined));
      try {
        assert.equal((await job('rescued', () => NoteMailer.note().deliverNow())).status, 'skipped');
      } finally {
        transport.send = send;
      }
      assert.match(heard.at(-1) ?? '', /^true note: .*550 no/);
      const record = (await system.records()).find(({ key }) => String(key).startsWith('rescued/'));
      assert.equal(record?.state, 'failed');
    });

    it('fails the mail with the error that its handler throws, and leaves other errors alone', async () => {
      await assert.rejects(NoteMailer.note(new Error('rethrow')).deliverNow(), /worse than rethrow/);
      await assert.rejects(NoteMailer.note(new Error('other')).deliverNow(), /other/);
      await assert.rejects(NoteMailer.broken().deliverNow(), TemplateError);
      assert.equal(system.all('mail.failed').length, 3);
    });

    it('is not asked about a mail that another run is sending: its job has to come again', async () => {
      class CalmMailer extends NoteMailer {
        static {
          this.rescueFrom(Error, () => undefined);
        }
      }
      const { send } = transport;
      const held = deferred();
      transport.send = (message) => held.promise.then(() => send.call(transport, message));
      const deliver = () => job('busy', () => CalmMailer.note().deliverNow());
      const first = deliver();
      try {
        await until('the first run has claimed the mail', async () =>
          (await system.records()).some(({ key }) => String(key).startsWith('busy/')),
        );
        system.events.emit('job.started', { id: 'busy', class: 'X', queue: 'mailer', attempt: 1, waitedMs: 0 });
        await assert.rejects(deliver(), DeliveryInProgressError);
      } finally {
        transport.send = send;
        held.resolve();
      }
      assert.equal((await first).status, 'sent');
    });

    it('may cancel the mail in its handler', async () => {
      const result = await NoteMailer.note(new SyntaxError('odd')).deliverNow();
      assert.deepEqual(result, { status: 'skipped', reason: 'seen to' });
    });

    it('rejects a rule without error classes or without a handler', () => {
      class Wrong extends NoteMailer {}
      assert.throws(() => Wrong.rescueFrom([], () => undefined), /Wrong\.rescueFrom: no errors are named/);
      assert.throws(
        () => Wrong.rescueFrom(Error, undefined as never),
        /Wrong\.rescueFrom: the handler is not a function/,
      );
      assert.throws(() => Wrong.rescueFrom('Error' as never, () => undefined), TypeError);
    });
  });
});
