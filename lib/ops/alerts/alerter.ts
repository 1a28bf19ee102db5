import type { Tree } from '../../cluster/status';
import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import type { Redis } from '../../core/redis';
import { issueKey } from '../../health/issues';
import { judge } from '../../health/judge';
import { StatusCollector, type SystemStatus, valueIn } from '../../health/status-collector';
import type { MailSetup } from '../../mailer/definition/setup';
import type { Database } from '../../model/database';
import type { Deadline } from '../../support/deadline';
import { PeriodicTask } from '../../support/periodic-task';
import type { Service } from '../../support/service';
import { toError } from '../../support/to-error';
import { issueLine, issueWords } from '../overview/issue-lines';
import { Formatter } from '../ui/format';
import { pageTexts, TEXTS } from '../ui/texts';
import { AlertBook } from './alert-book';
import { type Alert, type Channel, mail, webhook } from './channels';

/** A read of Postgres fails after this, ms: while a table is locked, it must not hold a connection that requests need. */
const STATEMENT_TIMEOUT_MS = 1500;
/** Interval of the looks, ms. */
const EVERY_MS = 10_000;
/** Number of looks in a row that have to see an issue before it is told, and that have to miss it before it counts as over. */
const SEEN = { bad: 2, warn: 6 };
const MISSED = 3;

export interface AlerterOptions {
  readonly app: { readonly name: string };
  readonly config: Config;
  readonly tree: Tree;
  readonly redis: Redis;
  readonly database: Pick<Database, 'knex' | 'withTimeout'>;
  readonly events: Events;
  /** The app's own, for ALERT_MAIL. Default: none. */
  readonly deliveryMethods?: MailSetup['deliveryMethods'] | undefined;
  /** Interval of the looks, ms. Default 10,000. */
  readonly everyMs?: number;
}

interface Fact extends Pick<Alert, 'key' | 'line' | 'level'> {
  /** `line` with what helps; absent from what another process has told. */
  readonly advice?: string;
}

interface Standing extends Fact {
  /** Looks in a row that have seen it, and that have missed it. */
  readonly seen: number;
  readonly missed: number;
  /** `alone`: told while Postgres did not answer, so that no other tree knows. */
  readonly told: false | 'recorded' | 'alone';
}

/**
 * Tells people what the overview tells, by ALERT_WEBHOOK and ALERT_MAIL: an issue once it has lasted, and its end. Each is told
 * once, by one of the trees that see it. While Postgres does not answer, each tree tells what it sees.
 */
export class Alerter implements Service {
  readonly name = 'alerter';
  private readonly task: PeriodicTask;
  private readonly collector: StatusCollector;
  private readonly book: AlertBook;
  private readonly channels: readonly Channel[];
  private standing = new Map<string, Standing>();

  constructor(private readonly options: AlerterOptions) {
    const { config, database, events, deliveryMethods, everyMs = EVERY_MS } = options;
    const knex = database.withTimeout(STATEMENT_TIMEOUT_MS);
    this.collector = new StatusCollector({ ...options, knex, probes: { freshMs: 0 } });
    this.book = new AlertBook(database.knex);
    this.channels = [
      ...(config.alerts?.webhook ? [webhook(config.alerts.webhook)] : []),
      ...(config.alerts?.mail.length ? [mail(config.alerts.mail, config.mail, events, deliveryMethods)] : []),
    ];
    const onError = (error: Error) => events.emit('process.error', { error, during: 'telling operators of issues' });
    this.task = new PeriodicTask({ everyMs, work: () => this.look(), onError });
  }

  /** Does nothing, since a process tells only once it has been appointed. */
  async start(): Promise<void> {}

  /** @param on false: another process tells from now on. */
  appoint(on: boolean): void {
    if (on) this.task.start();
    else void this.task.stop();
  }

  async stop(deadline: Deadline): Promise<void> {
    await deadline.wait(this.task.stop());
    await Promise.all(this.channels.map((channel) => channel.close()));
  }

  private async look(): Promise<undefined> {
    const systemStatus = await this.collector.collect();
    const own = valueIn(systemStatus.own);
    if (!own || own.stopping) return;
    const present = this.presentIn(systemStatus, own.place);
    await this.recall(own.place);
    for (const issue of present.values()) {
      const { seen = 0, told = false } = this.standing.get(issue.key) ?? {};
      this.standing.set(issue.key, { ...issue, seen: seen + 1, missed: 0, told });
    }
    for (const known of [...this.standing.values()]) {
      if (present.has(known.key)) {
        if (!known.told && known.seen >= SEEN[known.level]) await this.tell(known, own.name);
      } else await this.miss(known, own.name, isComplete(systemStatus));
    }
  }

  /** The issues of this tree and of what all trees share. Other trees tell their own. */
  private presentIn(systemStatus: SystemStatus, place: string): Map<string, Fact> {
    const { config } = this.options;
    const { issues, shown } = judge(systemStatus, null, config.jobs.latencyWarningMs);
    const format = new Formatter(pageTexts(TEXTS).in(config.defaultLocale), new Date());
    const own = issues.filter(({ code }) => code !== 'otherTree');
    return new Map(
      own.map((issue) => {
        const key = `${shown?.issues.includes(issue) ? place : ''} ${issueKey(issue)}`;
        return [
          key,
          { key, level: issue.level, line: issueWords(issue, format).fact, advice: issueLine(issue, format) },
        ];
      }),
    );
  }

  /** What was told before this process was appointed, so that its end is told, too. */
  private async recall(place: string): Promise<void> {
    for (const alert of await this.book.told().catch(() => [])) {
      const isOurs = alert.key.startsWith(' ') || alert.key.startsWith(`${place} `);
      if (isOurs && !this.standing.get(alert.key)?.told)
        this.standing.set(alert.key, {
          seen: 0,
          missed: 0,
          ...this.standing.get(alert.key),
          ...alert,
          told: 'recorded',
        });
    }
  }

  private async tell(known: Standing, tree: string): Promise<void> {
    const claim = await this.book.claim(known).catch(() => 'alone' as const);
    if (claim === false) return;
    const isTold = await this.send('alert', { ...known, line: known.advice ?? known.line }, tree);
    if (isTold) this.standing.set(known.key, { ...known, told: claim === 'alone' ? 'alone' : 'recorded' });
    await (isTold ? this.book.markTold(known.key) : this.book.release(known.key)).catch(() => undefined);
  }

  /** @param isComplete false: something could not be read, so that an issue may only be out of sight. */
  private async miss(known: Standing, tree: string, isComplete: boolean): Promise<void> {
    if (!isComplete) return;
    const missed = known.missed + 1;
    this.standing.set(known.key, { ...known, missed, seen: 0 });
    if (missed < MISSED) return;
    // Whoever deletes the row tells it.
    const isOurs = known.told === 'recorded' ? await this.book.close(known.key) : known.told === 'alone';
    this.standing.delete(known.key);
    if (isOurs) await this.send('recovery', known, tree);
  }

  /** @returns true if any channel has taken it. */
  private async send(event: Alert['event'], { key, level, line }: Fact, tree: string): Promise<boolean> {
    const { app, config, events } = this.options;
    const alert = { event, key: key.trim(), level, line, app: app.name, tree, url: `${config.appUrl}/ops` };
    const sent = this.channels.map(async (channel) => {
      try {
        await channel.send(alert);
        events.emit('alert.sent', { event, line, channel: channel.name });
        return true;
      } catch (thrown) {
        events.emit('alert.failed', { channel: channel.name, error: toError(thrown) });
        return false;
      }
    });
    return (await Promise.all(sent)).includes(true);
  }
}

function isComplete({ queues, failures, cron, postgres, mail, foreign, redis }: SystemStatus): boolean {
  const needed = [queues, failures, cron, postgres, mail, foreign, redis];
  return needed.every(({ ok }) => ok);
}
