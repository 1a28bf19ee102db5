import type { EventMap, EventName, Events } from '../../core/events';
import { OTHER_CLASSES } from './history-keys';

export const MAIL_OUTCOMES = ['sent', 'failed', 'skipped'] as const;
export type MailCounts = Record<(typeof MAIL_OUTCOMES)[number], number>;

/** Mailers counted by name between two handovers. */
const MOST_MAILERS = 200;
/** How they are called in Redis, in the same hashes as what became of jobs: `ms:UserMailer`. */
const CODES = { sent: 'ms', failed: 'mf', skipped: 'mk' } as const;

/** Counts what becomes of mails in this process until it is handed over. A mail that fails and is tried again counts each time. */
export class MailTally {
  private mailers = new Map<string, MailCounts>();

  /** @returns a function that ends it. */
  listen(events: Events): () => void {
    return events.onAny((name, payload) => this.hear(name, payload));
  }

  /** What was counted since the last time, as increments of a hash's fields. */
  take(): [field: string, by: number][] {
    const { mailers } = this;
    this.mailers = new Map();
    return [...mailers].flatMap(([mailer, counts]) =>
      MAIL_OUTCOMES.filter((outcome) => counts[outcome] > 0).map((outcome): [string, number] => [
        `${CODES[outcome]}:${mailer}`,
        counts[outcome],
      ]),
    );
  }

  private hear(name: EventName, payload: EventMap[EventName]): void {
    switch (name) {
      case 'mail.sent':
        this.of((payload as EventMap['mail.sent']).mailer).sent++;
        break;
      case 'mail.failed':
        this.of((payload as EventMap['mail.failed']).mailer).failed++;
        break;
      case 'mail.skipped':
        this.of((payload as EventMap['mail.skipped']).mailer).skipped++;
        break;
    }
  }

  private of(mailer: string): MailCounts {
    const name = this.mailers.has(mailer) || this.mailers.size < MOST_MAILERS ? mailer : OTHER_CLASSES;
    const counts = this.mailers.get(name) ?? { sent: 0, failed: 0, skipped: 0 };
    this.mailers.set(name, counts);
    return counts;
  }
}

/** Reads such a hash. */
export function mailsFromFields(fields: Readonly<Record<string, string>>): Map<string, MailCounts> {
  const mailers = new Map<string, MailCounts>();
  for (const [field, text] of Object.entries(fields)) {
    const [code = '', ...rest] = field.split(':');
    const outcome = MAIL_OUTCOMES.find((one) => CODES[one] === code);
    const count = Number(text);
    if (!outcome || !Number.isFinite(count)) continue;
    const name = rest.join(':');
    const counts = mailers.get(name) ?? { sent: 0, failed: 0, skipped: 0 };
    counts[outcome] = count;
    mailers.set(name, counts);
  }
  return mailers;
}
