import assert, { AssertionError } from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { Mailer } from '../../lib/mailer/mailer';
import * as kit from '../../lib/testing';

class GreetJob extends Job<[name: string, secrets?: { readonly password: string }]> {
  static override queue = 'mailer';
  perform(_name: string, _secrets?: { readonly password: string }) {}
}

class NoticeMailer extends Mailer<{ readonly tenant: string }> {
  static readonly welcome = this.action('welcome');
  static readonly farewell = this.action('farewell');
  welcome(to: string, _secrets?: { readonly password: string }) {
    return this.mail({ to, subject: 'Hello' });
  }
  farewell(to: string) {
    return this.mail({ to, subject: 'Goodbye' });
  }
}

class OtherClass {
  perform() {}
}

/** The functions as plain JavaScript calls them, with arguments that types would refuse. */
type Loose = Readonly<Record<keyof typeof kit, (...args: readonly unknown[]) => unknown>>;
const {
  assertEnqueued,
  assertNoEnqueued,
  assertEnqueuedJobs,
  assertPerformed,
  assertNoPerformed,
  assertPerformedJobs,
} = kit as unknown as Loose;
const { assertEnqueuedEmails, assertEnqueuedEmailWith, assertEmails, enqueuedJobs } = kit as unknown as Loose;

const ENQUEUED = `Enqueued:
  GreetJob\\('Ann', { password: '\\[FILTERED\\]' }\\) on mailer
  GreetJob\\('Bob'\\) on slow, at \\S+Z, with wait 2 d
  the mail NoticeMailer\\.welcome\\('ada@example\\.com', { password: '\\[FILTERED\\]' }\\) with params { tenant: 'acme' } on mailer
Performed: none`;

/** Calls that fail, and the first line of the message. */
const FAILURES: readonly (readonly [call: () => unknown, line: string])[] = [
  [
    () => assertEnqueued(GreetJob, { args: ['Cid'], queue: 'mailer' }),
    "GreetJob('Cid') on mailer: one or more should be enqueued, found none",
  ],
  [() => assertEnqueued(GreetJob, { times: 3 }), 'GreetJob: 3 should be enqueued, found 2'],
  [
    () => assertEnqueued(GreetJob, { wait: '3d' }),
    'GreetJob with wait "3d": one or more should be enqueued, found none',
  ],
  [() => assertNoEnqueued(GreetJob), 'GreetJob: none should be enqueued, found 2'],
  [() => assertNoEnqueued(), 'jobs: none should be enqueued, found 3'],
  [() => assertEnqueuedJobs(5), 'jobs: 5 should be enqueued, found 3'],
  [() => assertPerformed(GreetJob), 'GreetJob: one or more should be performed, found none'],
  [() => assertPerformedJobs(1), 'jobs: 1 should be performed, found none'],
  [() => assertEnqueuedEmails(2), 'mails: 2 should be enqueued, found 1'],
  [
    () => assertEnqueuedEmailWith(NoticeMailer, 'farewell', { times: 2 }),
    'the mail NoticeMailer.farewell: 2 should be enqueued, found none',
  ],
];

/** Calls that TypeScript would refuse: the message names the function, what it was given, and what it takes. */
const MISTAKES: readonly (readonly [call: () => unknown, message: RegExp])[] = [
  [() => assertEnqueued(undefined), /^assertEnqueued takes a job class, .* undefined: is it exported/],
  [() => assertEnqueued('GreetJob'), /^assertEnqueued takes a job class, .* the text "GreetJob"/],
  [() => assertNoEnqueued(OtherClass), /^assertNoEnqueued takes a job class, .* the class OtherClass/],
  [() => assertPerformed({}), /^assertPerformed takes a job class, .* an object of Object/],
  [() => assertNoPerformed(NoticeMailer), /^assertNoPerformed takes a job class, .* the mailer NoticeMailer/],
  [() => assertEnqueued(GreetJob, { arg: ['Ann'] }), /^assertEnqueued does not compare arg: write args/],
  [() => assertPerformed(GreetJob, { priority: 1 }), /^assertPerformed does not compare priority: it compares args, /],
  [() => assertEnqueued(GreetJob, { args: 'Ann' }), /^assertEnqueued: args is the text "Ann"; give an array/],
  [() => assertEnqueued(GreetJob, 'Ann'), /^assertEnqueued takes an object as its second argument, .* the text "Ann"/],
  [() => assertEnqueued(GreetJob, { at: '2030-01-01' }), /^assertEnqueued: at is the text "2030-01-01"; give a Date/],
  [() => assertEnqueued(GreetJob, { wait: 'soon' }), /wait is "soon", which is not a duration/],
  [() => assertEnqueued(GreetJob, { times: '2' }), /^assertEnqueued: times is the text "2"; give a whole number/],
  [
    () => assertPerformed(GreetJob, { outcome: 'done' }),
    /^assertPerformed: outcome is the text "done"; give succeeded, /,
  ],
  [() => assertEnqueued(GreetJob, {}, Promise.resolve()), /^assertEnqueued takes .* as a function, .* a promise/],
  [() => assertEnqueuedJobs(() => undefined), /^assertEnqueuedJobs takes a whole number .* a name/],
  [() => assertPerformedJobs(1.5), /^assertPerformedJobs takes a whole number .* 1\.5/],
  [
    () => enqueuedJobs({ only: [GreetJob, undefined] }),
    /^enqueuedJobs: only or except takes a job class, .* undefined/,
  ],
  [() => assertEmails(), /^assertEmails takes a whole number .* undefined/],
  [() => assertEnqueuedEmails('1'), /^assertEnqueuedEmails takes a whole number .* the text "1"/],
  [
    () => assertEnqueuedEmailWith(GreetJob, 'welcome'),
    /^assertEnqueuedEmailWith takes a mailer, .* the class GreetJob/,
  ],
  [() => assertEnqueuedEmailWith(NoticeMailer, 'welcom'), /NoticeMailer has no action 'welcom': write 'welcome'/],
  [() => assertEnqueuedEmailWith(NoticeMailer, 'receipt'), /no action 'receipt': it has welcome, farewell/],
  [
    () => assertEnqueuedEmailWith(NoticeMailer, 'welcome', { params: 'acme' }),
    /params is the text "acme"; give an object/,
  ],
  [
    () => assertEnqueuedEmailWith(NoticeMailer, 'welcome', { to: 'a@b.c' }),
    /does not compare to: it compares args, params, queue, at, /,
  ],
];

describe('the messages of the test helpers', () => {
  let jobs: kit.TestJobs;
  before(async () => {
    jobs = await kit.useFakeJobs();
    await GreetJob.performLater('Ann', { password: 'secret' });
    await GreetJob.set({ wait: '2d', queue: 'slow' }).performLater('Bob');
    await NoticeMailer.with({ tenant: 'acme' }).welcome('ada@example.com', { password: 'secret' }).deliverLater();
  });
  after(() => jobs.restore());

  for (const [call, line] of FAILURES) {
    it(`say what was expected and what was found: ${line}`, () => {
      assert.throws(call, (error) => {
        assert.ok(error instanceof AssertionError);
        const [first, ...rest] = error.message.split('\n');
        assert.equal(first, line);
        assert.match(rest.join('\n'), new RegExp(`^${ENQUEUED}$`));
        return true;
      });
    });
  }

  for (const [call, message] of MISTAKES) {
    it(`say what was given and what is accepted: ${message.source}`, async () => {
      // Some return a promise when they are given code to watch.
      await assert.rejects(async () => call(), { name: 'TypeError', message });
    });
  }
});
