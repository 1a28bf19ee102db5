import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import { mailboxes } from '../../mailer/compose/headers';
import type { DeliveryMethod } from '../../mailer/definition/delivery-method';
import type { MailSetup } from '../../mailer/definition/setup';
import { openTransport } from '../../mailer/transport/open-transport';
import { truncate } from '../../support/text-table';
import { timeOrderedUuid } from '../../support/uuid';

/** A fact that operators are told of, or its end. */
export interface Alert {
  readonly event: 'alert' | 'recovery';
  /** Names the fact: the tree's place, unless it is of the services that all trees share, the code and its subject. */
  readonly key: string;
  readonly level: 'warn' | 'bad';
  /** The issue in one line, as the overview has it; once it is over, without what helps. */
  readonly line: string;
  readonly app: string;
  readonly tree: string;
  /** Address of the pages. */
  readonly url: string;
}

/** A way by which alerts reach people. */
export interface Channel {
  readonly name: 'webhook' | 'mail';
  /** @throws Error when the alert was not accepted; its message has nothing secret. */
  send(alert: Alert): Promise<void>;
  close(): Promise<void>;
}

/** Limit of one request, ms. */
const REQUEST_MS = 10_000;

/** POSTs an alert as JSON. `text` and `content` are what Slack, Mattermost, Teams and Discord show; the rest is for programs. */
export function webhook(url: string): Channel {
  // The path of such a URL is often a secret.
  const { host } = new URL(url);
  return {
    name: 'webhook',
    async send(alert) {
      const text = titleOf(alert);
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ text, content: text, ...alert }),
        signal: AbortSignal.timeout(REQUEST_MS),
      }).catch((thrown: unknown) => {
        const { cause, name } = thrown as { readonly cause?: { readonly code?: string }; readonly name?: string };
        throw new Error(`${host} did not answer (${cause?.code ?? name})`);
      });
      await response.body?.cancel();
      if (!response.ok) throw new Error(`${host} answered ${response.status}`);
    },
    async close() {},
  };
}

/** Mails an alert as MAIL_DELIVERY does, but at once and not as a job: jobs may be what does not work. */
export function mail(
  addresses: readonly string[],
  config: Config['mail'],
  events: Events,
  own?: MailSetup['deliveryMethods'],
): Channel {
  let transport: DeliveryMethod | undefined;
  return {
    name: 'mail',
    async send(alert) {
      transport ??= openTransport(config, events, own);
      const [from = { name: '', address: config.from }] = mailboxes('from', config.from);
      await transport.send({
        messageId: `<${timeOrderedUuid()}@${from.address.split('@').at(-1)}>`,
        date: new Date(),
        from,
        to: addresses.map((address) => ({ name: '', address })),
        cc: [],
        bcc: [],
        replyTo: [],
        subject: truncate(titleOf(alert), 120),
        text: `${titleOf(alert)}\n\n${alert.tree}\n${alert.url}\n`,
        headers: { 'Auto-Submitted': 'auto-generated' },
      });
    },
    async close() {
      await transport?.close?.({ force: true });
    },
  };
}

function titleOf({ event, app, line }: Alert): string {
  return `[${app}] ${event === 'recovery' ? 'Over: ' : ''}${line}`;
}
