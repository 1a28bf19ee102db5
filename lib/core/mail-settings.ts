import path from 'node:path';
import { isAddress, isDomain } from '../support/email-address';
import type { Config, MailProvider } from './config';
import { type Kind, type SettingsReader, secret, text, url } from './settings-reader';
import { isThisMachine } from './tls';

/** The methods by which no mail leaves the machine. */
const HERE = ['file', 'log', 'test'];
const PROVIDERS = {
  resend: ['RESEND_API_KEY'],
  postmark: ['POSTMARK_API_TOKEN'],
  ses: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_REGION'],
  mailgun: ['MAILGUN_API_KEY', 'MAILGUN_DOMAIN'],
} as const satisfies Record<MailProvider, readonly string[]>;
export const DELIVERY_METHODS: readonly string[] = ['smtp', 'sendmail', ...HERE, ...Object.keys(PROVIDERS)];

export function isProvider(delivery: string): delivery is MailProvider {
  return Object.hasOwn(PROVIDERS, delivery);
}

export function staysHere(delivery: string): boolean {
  return HERE.includes(delivery);
}

const SMTP_URL = secret(url('an smtp:// or smtps:// URL', 'smtp:', 'smtps:'));
const KEY = secret(text('a key without spaces', /^[\x21-\x7e]+$/));
const KINDS = {
  RESEND_API_KEY: KEY,
  POSTMARK_API_TOKEN: KEY,
  POSTMARK_MESSAGE_STREAM: text('the id of a message stream, such as outbound', /^[\w-]+$/),
  AWS_ACCESS_KEY_ID: KEY,
  AWS_SECRET_ACCESS_KEY: KEY,
  AWS_SESSION_TOKEN: KEY,
  AWS_REGION: text('a region, such as eu-central-1', /^[a-z0-9-]+$/),
  SENDMAIL_PATH: text('the path of a sendmail command, such as /usr/sbin/sendmail', /^\//),
  MAILGUN_API_KEY: KEY,
  MAILGUN_DOMAIN: text('the domain that sends, such as mg.shop.example', isDomain),
};
const METHOD = text(`${DELIVERY_METHODS.join(', ')}, or the name of a method of the app`, /^[a-z][\w-]*$/i);
/** Whoever reads the connection has the key. */
const API_URL = text('an https:// URL', (given) => {
  const { protocol, hostname, search } = URL.canParse(given) ? new URL(given) : new URL('none:');
  return search === '' && (protocol === 'https:' || (protocol === 'http:' && isThisMachine(hostname)));
});

/** @returns the settings that a method of Catamount has, by their names. */
export function settingsOf(delivery: string): ReadonlyMap<string, Kind<string>> {
  const prefix = `${delivery === 'ses' ? 'AWS' : delivery.toUpperCase()}_`;
  const own = Object.entries({ ...KINDS, SMTP_URL }).filter(([name]) => name.startsWith(prefix));
  return new Map([...own, ...(isProvider(delivery) ? [['MAIL_API_URL', API_URL] as const] : [])]);
}

export function readMail(
  read: SettingsReader,
  production: boolean,
  { stateDir, appUrl }: { readonly stateDir: string; readonly appUrl: string },
): Config['mail'] {
  const smtpUrl = read.get('SMTP_URL', SMTP_URL, null);
  const delivery = read.get('MAIL_DELIVERY', METHOD, smtpUrl ? 'smtp' : 'file');
  if (delivery === 'smtp') read.require('SMTP_URL', `${SMTP_URL.allowed}, since MAIL_DELIVERY is smtp`);
  if (production && !read.has('MAIL_DELIVERY'))
    read.require('SMTP_URL', `${SMTP_URL.allowed}; or set MAIL_DELIVERY to a provider, or to log to send none`);
  for (const key of isProvider(delivery) ? PROVIDERS[delivery] : [])
    read.require(key, `${KINDS[key].allowed}, since MAIL_DELIVERY is ${delivery}`);
  const keys = Object.entries(KINDS).map(([key, kind]) => [key, read.get(key, kind, undefined)]);
  const sender = text('one address, such as Shop <hello@shop.example>', isSender);
  const from = read.get('MAIL_FROM', sender, `no-reply@${mailDomain(appUrl)}`);
  const apiUrl = read.get('MAIL_API_URL', API_URL, null);
  return { delivery, smtpUrl, from, dir: path.join(stateDir, 'mails'), keys: Object.fromEntries(keys), apiUrl };
}

/** @returns true for an address with or without a name; characters that could end the name must be quoted. */
function isSender(given: string): boolean {
  const [, address = given] = /^(?:[^\p{C}<>",:;@()[\]\\]*|"[^\p{C}"\\]*" *)<([^<>]+)>$/u.exec(given) ?? [];
  return isAddress(address);
}

function mailDomain(appUrl: string): string {
  const { hostname } = new URL(appUrl);
  return isDomain(hostname) ? hostname : 'localhost';
}
