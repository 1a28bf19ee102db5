import { setTimeout as wait } from 'node:timers/promises';
import type { Events } from '../../core/events';
import { Backoff } from '../../support/backoff';
import type { Deadline } from '../../support/deadline';
import { toError } from '../../support/to-error';
import { effectiveName } from '../definition/options';
import type { CronEntry } from './schedule';

/** Limit of one request, ms, and number of tries. */
const REQUEST_MS = 10_000;
const TRIES = 3;

/**
 * Tells a monitor from elsewhere, such as healthchecks.io or Cronitor, of each run of a class whose `cron` has a `ping`: a GET of
 * that URL after a success, of it with `/fail` when a job has died. The monitor raises the alarm when it hears nothing, also when
 * no tree runs any more. A ping delays no job and fails none.
 */
export class CronPings {
  private readonly urls = new Map<string, readonly string[]>();
  private readonly pending = new Set<Promise<void>>();

  /** @param entries those without a `ping` are left out. */
  constructor(
    entries: readonly CronEntry[],
    private readonly events: Events,
  ) {
    for (const { jobClass, ping } of entries) {
      const name = effectiveName(jobClass);
      if (ping !== undefined) this.urls.set(name, [...new Set([...(this.urls.get(name) ?? []), ping])]);
    }
  }

  /** Does nothing if there are none. @returns a function that stops it. */
  listen(): () => void {
    if (this.urls.size === 0) return () => undefined;
    const ends = [
      this.events.on('job.succeeded', ({ class: name }) => this.tell(name, '')),
      this.events.on('job.dead', ({ class: name }) => this.tell(name, '/fail')),
    ];
    return () => {
      for (const end of ends) end();
    };
  }

  /** Waits for what is on its way. */
  async sent(deadline: Deadline): Promise<void> {
    await deadline.wait(Promise.all(this.pending));
  }

  private tell(className: string, suffix: '' | '/fail'): void {
    for (const ping of this.urls.get(className) ?? []) {
      const sending = this.send(className, withSuffix(ping, suffix));
      this.pending.add(sending);
      void sending.finally(() => this.pending.delete(sending));
    }
  }

  private async send(className: string, url: string): Promise<void> {
    const backoff = new Backoff({ base: 1000, max: 5000 });
    for (let tries = 1; ; tries++) {
      try {
        const response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_MS) });
        await response.body?.cancel();
        if (response.ok) return;
        throw new Error(`the answer was ${response.status}`);
      } catch (thrown) {
        if (tries < TRIES) {
          await wait(backoff.next());
          continue;
        }
        // The path of such a URL is a secret.
        this.events.emit('cron.ping-failed', { class: className, host: new URL(url).host, error: toError(thrown) });
        return;
      }
    }
  }
}

function withSuffix(ping: string, suffix: string): string {
  const url = new URL(ping);
  url.pathname = `${url.pathname.replace(/\/$/, '')}${suffix}`;
  return url.href;
}
