import assert from 'node:assert/strict';
import path from 'node:path';
import { User } from '../../lib/app/models/user';
import { runInContext } from '../../lib/core/execution-context';
import type { EnqueueRequest } from '../../lib/job/definition/job-class';
import type { EnqueueMiddleware } from '../../lib/job/definition/setup';
import { Job } from '../../lib/job/job';
import type { MailerClass } from '../../lib/mailer/definition/mailer-class';
import { DeliverMailJob, MailDeliveryJob } from '../../lib/mailer/deliver-mail-job';
import { Mailer } from '../../lib/mailer/mailer';
import { MailerRegistry } from '../../lib/mailer/mailer-registry';
import { deliverAllLater } from '../../lib/mailer/message';
import { Model } from '../../lib/model/model';
import { loadModels } from '../../lib/model/model-lookup';
import { transaction } from '../../lib/model/transaction';
import { JobSystem } from '../job/job-system';
import { startSmtpSink } from '../support/smtp';
import { inSuite } from '../support/suite';
import { until } from '../support/until';
import { textsOf, useSmtpDelivery } from './mail-system';

interface Order {
  readonly lines: readonly { readonly text: string; readonly due?: Date }[];
}
class LetterMailer extends Mailer<{ readonly from?: User | undefined; readonly due?: Date; readonly cents?: bigint }> {
  static override readonly layout = false;
  static readonly letter = this.action('letter');
  static readonly file = this.action('file');
  static readonly receipt = this.action('receipt');
  letter(user: User, note = 'none') {
    const { due, cents, from } = this.params;
    const subject = [note, due instanceof Date && due.toISOString(), cents && typeof cents, from?.name]
      .filter(Boolean)
      .join();
    return this.mail({ to: user.email, subject, template: 'user_mailer/welcome', locals: { email: '', name: '' } });
  }
  receipt({ lines }: Order) {
    const subject = lines.map(({ text, due }) => `${text} ${due instanceof Date}`).join();
    return this.mail({
      to: 'ada@example.com',
      subject,
      template: 'user_mailer/welcome',
      locals: { email: '', name: '' },
    });
  }
  file(content: Buffer) {
    this.attach('x', content);
    return this.mail({ to: 'ada@example.com' });
  }
}
class RatedLetterJob extends MailDeliveryJob {
  static override readonly rate = { limit: 1, per: '1h' } as const;
}
class SecretLetterJob extends MailDeliveryJob {
  static override readonly encrypt = true;
}
class WrongJob extends Job {
  perform(): void {}
}
class ThreadedJob extends MailDeliveryJob {
  static override readonly thread = true;
}
class RatedMailer extends LetterMailer {
  static override readonly deliveryJob = RatedLetterJob;
}
class UrgentMailer extends LetterMailer {
  static override readonly queue = 'default';
}

describe('deliverLater', () => {
  const requests: EnqueueRequest[] = [];
  const mailers: MailerClass[] = [LetterMailer, UrgentMailer, RatedMailer];

  const sink = inSuite('stop', startSmtpSink);
  const system = inSuite('stop', async () => {
    const note: EnqueueMiddleware = (request, next) => {
      requests.push(request);
      return next(request);
    };
    const models = await loadModels(path.resolve(__dirname, '../../lib/app/models'));
    return JobSystem.start({ models, setup: { enqueueMiddleware: [note] } }, { migrated: true });
  });
  const delivery = useSmtpDelivery(
    () => [system.database.knex, system.events],
    sink,
    async () => ({ i18n: await textsOf({ en: WELCOME, ko: WELCOME }) }),
  );
  before(() => Model.knex(system.database.knex));
  beforeEach(() => Mailer.connect(delivery, new MailerRegistry('the mailers of this test', mailers)));
  afterEach(async () => {
    await system.reset();
    sink.messages.length = 0;
    requests.length = 0;
  });

  let count = 0;
  const newUser = (name = 'Ada') =>
    User.query().insertAndFetch({ email: `u${++count}@example.com`, name, locale: 'en', tokenDigest: Buffer.from('') });
  const work = () => system.processor([DeliverMailJob]);

  it('sends the mail with its arguments, params, models (by id) and locale', async () => {
    const [user, from] = [await newUser(), await newUser('Bob')];
    const due = new Date('2026-12-01T00:00:00Z');
    const job = await runInContext({ locale: 'ko' }, () =>
      LetterMailer.with({ from, due, cents: 5n }).letter(user, 'Hi').deliverLater(),
    );
    assert.equal(job.enqueued, true);
    await User.query().findById(user.id).patch({ email: 'moved@example.com' });
    await work();
    const [mail] = await sink.waitFor(1);
    assert.equal(mail?.subject, `Hi,${due.toISOString()},bigint,Bob`);
    // The model is loaded again when the job runs.
    assert.deepEqual(mail?.envelope.to, ['moved@example.com']);
    assert.equal(mail?.headers.get('content-language'), 'ko');
    // The delivery record belongs to the job, so a later run finds it.
    assert.match(mail?.messageId ?? '', new RegExp(`^<${job.id}\\.`));
  });

  it('accepts an object typed by an interface, whose values arrive unchanged', async () => {
    const order: Order = { lines: [{ text: 'tea', due: new Date(0) }, { text: 'cake' }] };
    await LetterMailer.receipt(order).deliverLater();
    await work();
    const [mail] = await sink.waitFor(1);
    assert.equal(mail?.subject, 'tea true,cake false');
  });

  it('is a job like any other: queue, tags, wait, one job per call', async () => {
    const user = await newUser();
    await UrgentMailer.letter(user).deliverLater({ tags: ['spring'] });
    await LetterMailer.with({ from: undefined }).letter(user, undefined).deliverLater();
    await LetterMailer.letter(user).deliverLater({ queue: 'default', wait: '1h', priority: 5 });
    const at = new Date(Date.now() + 7_200_000);
    await LetterMailer.letter(user).deliverLater({ waitUntil: at });
    const enqueued = system.eventsNamed('job.enqueued').map(({ class: name, queue }) => `${name} ${queue}`);
    assert.deepEqual(enqueued, [
      'catamount.deliver-mail default',
      'catamount.deliver-mail mailer',
      'catamount.deliver-mail default',
      'catamount.deliver-mail mailer',
    ]);
    assert.deepEqual(requests[0]?.tags, ['UrgentMailer#letter', 'spring']);
    assert.equal(requests[2]?.priority, 5);
    assert.deepEqual(
      requests.map(({ runAt }) => runAt),
      [undefined, undefined, { inMs: 3_600_000 }, { at }],
    );
    assert.equal(await system.jobCount(), 4);
    await work();
    await sink.waitFor(2);
    assert.equal(sink.messages.length, 2);
  });

  it('enqueues the class of the mailer, whose rules hold for its mails', async () => {
    await RatedMailer.letter(await newUser('Ada'), 'first').deliverLater();
    await RatedMailer.letter(await newUser('Bob'), 'second').deliverLater();
    assert.deepEqual(
      requests.map(({ name, queue }) => `${name} ${queue}`),
      ['RatedLetterJob mailer', 'RatedLetterJob mailer'],
    );
    await system.processor([DeliverMailJob, RatedLetterJob]);
    await sink.waitFor(1);
    await LetterMailer.letter(await newUser(), 'another').deliverLater();
    await sink.waitFor(2);
    assert.deepEqual(
      sink.messages.map(({ subject }) => subject),
      ['first', 'another'],
    );
    await until('only the second is left', async () => (await system.jobCount()) === 1);
  });

  it('refuses a class that sends no mails, or would in a thread, and encrypts if its class does', async () => {
    const user = await newUser();
    const refusals: readonly (readonly [unknown, RegExp])[] = [
      [WrongJob, /OddMailer.deliveryJob is WrongJob; give a class that extends MailDeliveryJob/],
      ['LetterJob', /OddMailer.deliveryJob is LetterJob; give/],
      [ThreadedJob, /ThreadedJob cannot have a thread/],
      [SecretLetterJob, /JOB_ENCRYPTION_KEYS/],
    ];
    for (const [given, message] of refusals) {
      class OddMailer extends LetterMailer {
        static override readonly deliveryJob = given as typeof MailDeliveryJob;
      }
      await assert.rejects(OddMailer.letter(user).deliverLater(), message);
    }
    assert.equal(await system.jobCount(), 0);
  });

  it('is part of the transaction: sent after its commit, never after a rollback', async () => {
    await work();
    const rolledBack = transaction(async () => {
      await LetterMailer.letter(await newUser(), 'never').deliverLater();
      throw new Error('no');
    });
    await assert.rejects(rolledBack, /no/);
    let insideCount = -1;
    await transaction(async () => {
      const user = await newUser();
      await LetterMailer.letter(user, 'always').deliverLater();
      insideCount = sink.messages.length;
    });
    const mails = await sink.waitFor(1);
    assert.deepEqual([insideCount, mails.map(({ subject }) => subject)], [0, ['always']]);
  });

  it('is discarded when the record of an argument is gone', async () => {
    const user = await newUser();
    const { id } = await LetterMailer.letter(user).deliverLater();
    await User.query().deleteById(user.id);
    await work();
    await until('the job is discarded', () => system.eventsNamed('job.discarded').some((event) => event.id === id));
    assert.equal(sink.messages.length, 0);
  });

  it('is left to other processors, like an unknown job, when its mailer is unknown', async () => {
    const { id } = await LetterMailer.letter(await newUser()).deliverLater();
    Mailer.connect(delivery, new MailerRegistry('lib/app/mailers'));
    await work();
    const errorOf = () => system.eventsNamed('job.left').find((event) => event.id === id)?.error;
    await until('the job is left', () => errorOf() !== undefined);
    assert.match(
      errorOf()?.message ?? '',
      /^there is no mailer LetterMailer in this app: no file in lib\/app\/mailers exports it$/,
    );
  });

  it('performs declared actions only', async () => {
    const order = { mailer: 'LetterMailer', args: [], params: {} };
    for (const action of ['constructor', 'mail', 'beforeAction', 'nothing']) {
      await assert.rejects(new DeliverMailJob().perform({ ...order, action }), {
        name: 'UnknownMailerError',
        message: new RegExp(`LetterMailer has no action ${action}`),
      });
    }
  });

  it('enqueues many at once, of several mailers, a thousand in a statement', async () => {
    const user = await newUser();
    const letters = Array.from({ length: 1000 }, (_, n) => LetterMailer.letter(user, `n${n}`));
    const inserts: string[] = [];
    const note = ({ sql }: { readonly sql: string }) => /\binsert into\b/i.test(sql) && inserts.push(sql);
    system.database.knex.on('query', note);
    const jobs = await deliverAllLater([...letters, UrgentMailer.letter(user)], { wait: '1h', tags: ['spring'] });
    system.database.knex.off('query', note);
    assert.equal(inserts.length, 2);
    assert.equal(new Set(jobs.map(({ id }) => id)).size, 1001);
    assert.equal(await system.jobCount(), 1001);
    assert.deepEqual(requests[1000]?.tags, ['UrgentMailer#letter', 'spring']);
    assert.deepEqual([requests[0]?.queue, requests[1000]?.queue], ['mailer', 'default']);
    assert.deepEqual(await deliverAllLater([]), []);
  });

  it('sends each mail of many, with its own arguments', async () => {
    const users = [await newUser('Ann'), await newUser('Bob')];
    const order: Order = { lines: [{ text: 'tea', due: new Date(0) }] };
    const letters = users.map((user) => LetterMailer.letter(user, `to ${user.name}`));
    await deliverAllLater([...letters, LetterMailer.receipt(order)]);
    await work();
    const mails = await sink.waitFor(3);
    assert.deepEqual(mails.map(({ subject }) => subject).sort(), ['tea true', 'to Ann', 'to Bob']);
  });

  it('enqueues none of many when one cannot be serialized, is no message, or the transaction rolls back', async () => {
    const user = await newUser();
    const good = LetterMailer.letter(user);
    const file = LetterMailer.file(Buffer.from('x'));
    // @ts-expect-error a Buffer cannot be an argument of a job
    const wrong = deliverAllLater([good, file]);
    await assert.rejects(wrong, /^TypeError: LetterMailer\.file: argument 1/);
    await assert.rejects(
      deliverAllLater([good, user as unknown as typeof good]),
      /^TypeError: deliverAllLater: value 1/,
    );
    await assert.rejects(
      transaction(async () => {
        await deliverAllLater([good, good]);
        throw new Error('undone');
      }),
      /undone/,
    );
    assert.equal(await system.jobCount(), 0);
  });

  it('rejects arguments that cannot be serialized, and names them', async () => {
    const user = await newUser();
    // @ts-expect-error a Buffer cannot be an argument of a job
    await assert.rejects(LetterMailer.file(Buffer.from('x')).deliverLater(), {
      name: 'TypeError',
      message: /^LetterMailer\.file: argument 1 is an instance of Buffer/,
    });
    const unsaved = User.fromJson({ name: 'New' });
    await assert.rejects(
      LetterMailer.letter(unsaved).deliverLater(),
      /LetterMailer\.letter: argument 1 .*save it first/,
    );
    await assert.rejects(
      LetterMailer.with({ from: unsaved }).letter(user).deliverLater(),
      /LetterMailer\.with: argument 1 \.from is a User without an id/,
    );
    await assert.rejects(LetterMailer.letter(user).deliverLater({ wait: '1h', waitUntil: new Date() }), TypeError);
    assert.equal(await system.jobCount(), 0);
  });
});

const TEXTS = Object.fromEntries(
  ['reason', 'preheader', 'heading', 'ready', 'token', 'open', 'paste', 'closing', 'signature'].map((key) => [
    key,
    key,
  ]),
);
const WELCOME = {
  user_mailer: { welcome: { subject: 'x' } },
  letter_mailer: {
    letter: TEXTS,
    receipt: TEXTS,
  },
};
