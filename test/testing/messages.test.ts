import assert, { AssertionError } from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { Mailer } from '../../lib/mailer/mailer';
import * as kit from '../../lib/testing';

class GreetJob extends Job<[name: string]> {
  static override queue = 'mailer';
  perform(_name: string) {}
}

class NoticeMailer extends Mailer<{ readonly tenant: string }> {
  static readonly welcome = this.action('welcome');
  static readonly farewell = this.action('farewell');
  welcome(to: string) {
    return this.mail({ to, subject: 'Hello' });
  }
  farewell(to: string) {
    return this.mail({ to, subject: 'Goodbye' });
  }
}

class Stranger {
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
const { assertEnqueuedEmail, assertEnqueuedEmails, assertEnqueuedEmailWith, assertEmails, enqueuedJobs } =
  kit as unknown as Loose;

type Row = readonly [title: string, call: () => unknown, message: RegExp];

const ENQUEUED = `Enqueued:
  GreetJob\\('Ann'\\) on mailer
  GreetJob\\('Bob'\\) on slow, at \\S+Z, with wait 2 d
  the mail NoticeMailer\\.welcome\\('ada@example\\.com'\\) with params { tenant: 'acme' } on mailer
Performed: none`;
const fails = (subject: string) => new RegExp(`^${subject}\\n${ENQUEUED}$`);

const FAILURES: readonly Row[] = [
  [
    'assertEnqueued',
    () => assertEnqueued(GreetJob, { args: ['Cid'], queue: 'mailer' }),
    fails("GreetJob\\('Cid'\\) on mailer: one or more should be enqueued, found none"),
  ],
  [
    'assertEnqueued with a wait',
    () => assertEnqueued(GreetJob, { wait: '3d' }),
    fails('GreetJob with wait "3d": one or more should be enqueued, found none'),
  ],
  ['assertNoEnqueued', () => assertNoEnqueued(GreetJob), fails('GreetJob: none should be enqueued, found 2')],
  ['assertEnqueuedJobs', () => assertEnqueuedJobs(5), fails('jobs: 5 should be enqueued, found 3')],
  ['assertPerformed', () => assertPerformed(GreetJob), fails('GreetJob: one or more should be performed, found none')],
  ['assertPerformedJobs', () => assertPerformedJobs(1), fails('jobs: 1 should be performed, found none')],
  ['assertEnqueuedEmails', () => assertEnqueuedEmails(2), fails('mails: 2 should be enqueued, found 1')],
  [
    'assertEnqueuedEmail',
    () => assertEnqueuedEmail(NoticeMailer.with({ tenant: 'other' }).welcome('ada@example.com'), { queue: 'slow' }),
    fails(
      "the mail NoticeMailer\\.welcome\\('ada@example\\.com'\\) on slow with params { tenant: 'other' }: one or more should be enqueued, found none",
    ),
  ],
  [
    'assertEnqueuedEmailWith',
    () => assertEnqueuedEmailWith(NoticeMailer, 'farewell', { args: ['ada@example.com'], times: 2 }),
    fails("the mail NoticeMailer\\.farewell\\('ada@example\\.com'\\): 2 should be enqueued, found none"),
  ],
];

const MISTAKES: readonly Row[] = [
  [
    'undefined',
    () => assertEnqueued(undefined),
    /assertEnqueued takes a job class, such as WelcomeEmailJob, but was given undefined: is it exported, and imported by that name\?/,
  ],
  ['a name', () => assertEnqueued('GreetJob'), /assertEnqueued takes a job class, .* given the text "GreetJob"/],
  [
    'a class that is not a job',
    () => assertNoEnqueued(Stranger),
    /assertNoEnqueued takes a job class, .* given the class Stranger/,
  ],
  ['an object', () => assertPerformed({}), /assertPerformed takes a job class, .* given an object of Object/],
  [
    'a mailer',
    () => assertNoPerformed(NoticeMailer),
    /assertNoPerformed takes a job class, .* given the mailer NoticeMailer/,
  ],
  [
    'a mistyped property',
    () => assertEnqueued(GreetJob, { arg: ['Ann'] }),
    /assertEnqueued does not compare arg: write args/,
  ],
  [
    'a property that is not compared',
    () => assertPerformed(GreetJob, { priority: 1 }),
    /assertPerformed does not compare priority: it compares args, queue, outcome, times, where/,
  ],
  [
    'an argument without an array',
    () => assertEnqueued(GreetJob, { args: 'Ann' }),
    /assertEnqueued: args is the text "Ann"; give an array of the arguments/,
  ],
  [
    'arguments instead of criteria',
    () => assertEnqueued(GreetJob, 'Ann'),
    /assertEnqueued takes an object as its second argument, such as { args: … }, but was given the text "Ann"/,
  ],
  [
    'a time as a string',
    () => assertEnqueued(GreetJob, { at: '2030-01-01' }),
    /assertEnqueued: at is the text "2030-01-01"; give a Date, or null for at once/,
  ],
  ['an invalid wait', () => assertEnqueued(GreetJob, { wait: 'soon' }), /wait is "soon", which is not a duration/],
  [
    'a count as a string',
    () => assertEnqueued(GreetJob, { times: '2' }),
    /assertEnqueued: times is the text "2"; give a whole number/,
  ],
  [
    'an unknown outcome',
    () => assertPerformed(GreetJob, { outcome: 'done' }),
    /assertPerformed: outcome is the text "done"; give succeeded, discarded, dead or failed/,
  ],
  [
    'a promise instead of a function',
    () => assertEnqueued(GreetJob, {}, Promise.resolve()),
    /assertEnqueued takes the code to watch as a function, but was given a promise: give the function that creates it/,
  ],
  [
    'a missing count of jobs',
    () => assertEnqueuedJobs(() => undefined),
    /assertEnqueuedJobs takes a whole number as its first argument, but was given the function without a name/,
  ],
  [
    'half a job',
    () => assertPerformedJobs(1.5),
    /assertPerformedJobs takes a whole number as its first argument, but was given 1\.5/,
  ],
  [
    'a filter without a job class',
    () => enqueuedJobs({ only: [GreetJob, undefined] }),
    /enqueuedJobs: only or except takes a job class, .* given undefined/,
  ],
  [
    'a missing count of mails',
    () => assertEmails(),
    /assertEmails takes a whole number as its first argument, but was given undefined/,
  ],
  [
    'a missing count of enqueued mails',
    () => assertEnqueuedEmails('1'),
    /assertEnqueuedEmails takes a whole number as its first argument, but was given the text "1"/,
  ],
  [
    'a mailer instead of a mail',
    () => assertEnqueuedEmail(NoticeMailer, 'welcome'),
    /assertEnqueuedEmail takes a mail, such as UserMailer\.welcome\(user\), but was given the mailer NoticeMailer: to match any arguments, use assertEnqueuedEmailWith\(NoticeMailer, 'welcome'\)/,
  ],
  [
    'an action that is not called',
    () => assertEnqueuedEmail(NoticeMailer.welcome),
    /assertEnqueuedEmail takes a mail, .* given the function/,
  ],
  [
    'a missing mailer',
    () => assertEnqueuedEmailWith(GreetJob, 'welcome'),
    /assertEnqueuedEmailWith takes a mailer, such as UserMailer, but was given the class GreetJob/,
  ],
  [
    'a mistyped action',
    () => assertEnqueuedEmailWith(NoticeMailer, 'welcom'),
    /assertEnqueuedEmailWith: NoticeMailer has no action 'welcom': write 'welcome'/,
  ],
  [
    'an unknown action',
    () => assertEnqueuedEmailWith(NoticeMailer, 'receipt'),
    /NoticeMailer has no action 'receipt': it has welcome, farewell/,
  ],
  [
    'invalid params',
    () => assertEnqueuedEmailWith(NoticeMailer, 'welcome', { params: 'acme' }),
    /assertEnqueuedEmailWith: params is the text "acme"; give an object, as passed to with\(\)/,
  ],
  [
    'a property that mails do not have',
    () => assertEnqueuedEmailWith(NoticeMailer, 'welcome', { to: 'ada@example.com' }),
    /assertEnqueuedEmailWith does not compare to: it compares queue, at, wait, times/,
  ],
];

describe('the messages of the test helpers say', () => {
  let jobs: kit.TestJobs;
  before(async () => {
    jobs = await kit.useFakeJobs();
    await GreetJob.performLater('Ann');
    await GreetJob.set({ wait: '2d', queue: 'slow' }).performLater('Bob');
    await NoticeMailer.with({ tenant: 'acme' }).welcome('ada@example.com').deliverLater();
  });
  after(() => jobs.restore());

  for (const [title, call, message] of FAILURES) {
    it(`what was expected and what was found: ${title}`, () => {
      assert.throws(call, (error) => {
        assert.ok(error instanceof AssertionError);
        assert.match(error.message, message);
        return true;
      });
    });
  }

  for (const [title, call, message] of MISTAKES) {
    it(`what was given and what is accepted: ${title}`, async () => {
      // Some return a promise when they are given code to watch.
      await assert.rejects(async () => call(), { name: 'TypeError', message });
    });
  }
});
