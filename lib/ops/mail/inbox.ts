import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { assertOperator } from '../auth/access';
import type { OpsContext, PageContext, PageModule } from '../ui/context';
import { Paging } from '../ui/format';
import { localizedProblem } from '../ui/shell';
import { answerPiece, showMail } from './mail-page';
import { htmlToText, openMail } from './parsed-mail';

/** A mail in a list. */
export interface InboxEntry {
  /** Name of its file. */
  readonly name: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly locale: string;
  readonly date: Date;
  /** Size of its file, bytes. */
  readonly size: number;
}

/** File names of the file transport. The pattern excludes slashes and a leading dot, so no path escapes the folder. */
const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,250}\.eml$/;
/** Bytes of a mail that are read for its entry and for a search. */
const HEAD = 256 * 1024;
/** Files larger than this, bytes, are ignored. */
const LARGEST = 50_000_000;
/** Number of newest mails that a search covers. */
export const SEARCHED = 1000;
/** Maximum number of cached entries. */
const MAX_CACHED = 500;

/** The mails that `file` delivery has written. Names sort by time; files never change, so their entries are cached. */
export class Inbox {
  private readonly known = new Map<string, InboxEntry>();

  constructor(private readonly folder: string) {}

  /** Names of all mails, the newest first. */
  async names(): Promise<string[]> {
    const names = await fs.readdir(this.folder).catch(whenMissing<string[]>([]));
    return names
      .filter((name) => NAME.test(name))
      .sort()
      .reverse();
  }

  /** Entries of the named mails that still exist. */
  async entries(names: readonly string[]): Promise<InboxEntry[]> {
    const entries: InboxEntry[] = [];
    for (const name of names) {
      const entry = this.known.get(name) ?? (await this.look(name))?.entry;
      if (entry) entries.push(entry);
    }
    return entries;
  }

  /** Names of the newest mails that contain all words of `text` in an address, the subject or the text. */
  async search(text: string): Promise<string[]> {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const found: string[] = [];
    for (const name of (await this.names()).slice(0, SEARCHED)) {
      const looked = await this.look(name);
      if (looked && words.every((word) => looked.text.includes(word))) found.push(name);
    }
    return found;
  }

  /** @returns the source of a mail; undefined when there is none. */
  async read(name: string): Promise<Buffer | undefined> {
    return NAME.test(name) ? readFile(path.join(this.folder, name), LARGEST) : undefined;
  }

  /** Deletes mails. @returns how many of them existed. */
  async remove(names: readonly string[]): Promise<number> {
    let count = 0;
    for (const name of names.filter((each) => NAME.test(each))) {
      const gone = await fs.unlink(path.join(this.folder, name)).then(() => true, whenMissing(false));
      if (gone) count++;
      this.known.delete(name);
    }
    return count;
  }

  private async look(name: string): Promise<{ readonly entry: InboxEntry; readonly text: string } | undefined> {
    const file = path.join(this.folder, name);
    const size = (await fs.stat(file).catch(whenMissing(undefined)))?.size;
    const head = size === undefined ? undefined : await readFile(file, LARGEST, HEAD);
    if (size === undefined || !head) return undefined;
    const { from, to, cc, subject, date, locale, text, html } = await openMail(head);
    const entry = { name, from, to, subject, locale, date: date ?? dateIn(name), size };
    this.remember(entry);
    const body = text?.trim() ? text : htmlToText(html ?? '');
    return { entry, text: [from, ...to, ...cc, subject, body].join('\n').toLowerCase() };
  }

  private remember(entry: InboxEntry): void {
    this.known.set(entry.name, entry);
    const [oldest] = this.known.keys();
    if (this.known.size > MAX_CACHED && oldest !== undefined) this.known.delete(oldest);
  }
}

/** Reads up to `most` bytes of a file of at most `largest` bytes; undefined for others. Follows no symbolic link. */
async function readFile(file: string, largest: number, most = largest): Promise<Buffer | undefined> {
  const handle = await fs.open(file, constants.O_RDONLY | constants.O_NOFOLLOW).catch(whenMissing(undefined));
  try {
    const stat = await handle?.stat();
    if (!handle || !stat?.isFile() || stat.size > largest) return undefined;
    const buffer = Buffer.alloc(Math.min(stat.size, most));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle?.close();
  }
}

function whenMissing<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT' || error.code === 'ELOOP' || error.code === 'ENOTDIR') return instead;
    throw error;
  };
}

/** Time in a name such as `20260312T140211.123Z-….eml`; the epoch when there is none. */
function dateIn(name: string): Date {
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)/.exec(name) ?? [];
  const date = new Date(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
  return Number.isNaN(date.getTime()) ? new Date(0) : date;
}

export const INBOX = '/ops/mail/inbox';
/** Deleting more mails than this asks the operator to type their number. */
const TYPED_ABOVE = 25;
/** Number of mails in the list beside a mail. */
const LATEST = 8;

/** Pages of the inbox. For operators only, since mails contain addresses and links that sign in. */
export function inboxRoutes(inbox: Inbox): PageModule {
  return (site) => {
    const { router, streams } = site;
    const { delivery, dir } = site.config.mail;
    const below = path.relative(process.cwd(), dir);
    const shown = below.startsWith('..') ? dir : below;

    router.get(INBOX, async (ctx) => {
      assertOperator(ctx);
      const { t } = ctx.state;
      const search = String(ctx.query.q ?? '').trim();
      const all = await inbox.names();
      const names = search === '' ? all : await inbox.search(search);
      const paging = Paging.of(ctx, names.length);
      const entries = await inbox.entries(names.slice(paging.from, paging.to));
      const isNewest = search === '' && paging.page === 1;
      const live = isNewest ? { live: `${INBOX}/events?newest=${all[0] ?? ''}` } : {};
      const page = { title: t('mail.inbox.title'), search, entries, paging, total: all.length, delivery, dir: shown };
      await site.pages.show(
        ctx,
        'mail/inbox',
        { ...page, searched: SEARCHED, ...live },
        { mails: entries.map((entry) => ({ ...entry, href: `${INBOX}/${entry.name}` })), total: names.length },
      );
    });

    router.get(`${INBOX}/events`, (ctx) => {
      assertOperator(ctx);
      const { t } = ctx.state;
      const newest = String(ctx.query.newest ?? '');
      const stream = streams.begin(ctx);
      stream.every(500, async () => {
        const names = await inbox.names();
        const count = names.filter((name) => name > newest).length;
        const gone = newest !== '' && !names.includes(newest);
        if (count === 0 && !gone) return;
        const text = gone ? t('mail.inbox.changed') : t('mail.inbox.news', { count });
        stream.sendWhenNew('news', { text });
      });
      stream.every(1000, () => stream.send('tick'));
    });

    router.get(`${INBOX}/clear`, async (ctx) => {
      assertOperator(ctx);
      await confirmClear(site, ctx, await inbox.names(), false);
    });

    router.post(`${INBOX}/clear`, async (ctx) => {
      const names = await inbox.names();
      // Mails that arrived after the question was shown stay.
      const until = ctx.state.form.get('until') ?? '';
      const meant = names.filter((name) => name <= until);
      if (meant.length > TYPED_ABOVE && Number(ctx.state.form.get('count')) !== meant.length) {
        ctx.status = 422;
        return confirmClear(site, ctx, names, true);
      }
      await remove(ctx, meant);
    });

    router.post(`${INBOX}/:name/delete`, async (ctx) => {
      const { name = '' } = ctx.params;
      if (!(await inbox.names()).includes(name)) throw localizedProblem(404, 'mailGone');
      await remove(ctx, [name]);
    });

    router.get(`${INBOX}/:name`, async (ctx) => {
      const mail = await opened(inbox, ctx);
      const names = await inbox.names();
      const latest = await inbox.entries(names.slice(0, LATEST));
      const index = { previews: [], inbox: latest, total: names.length, kept: true, after: true, keep: '' };
      await showMail(site, ctx, { mail, base: ctx.path, locales: false, index });
    });

    router.get(`${INBOX}/:name/*piece`, async (ctx) => {
      answerPiece(ctx, await opened(inbox, ctx), ctx.params.piece ?? '');
    });

    async function remove(ctx: OpsContext, names: readonly string[]): Promise<void> {
      const count = await inbox.remove(names);
      site.events.emit('operator.mails', { action: 'delete', count, via: `pages:${ctx.ip}` });
      ctx.status = 303;
      ctx.redirect(INBOX);
    }
  };
}

async function opened(inbox: Inbox, ctx: OpsContext) {
  assertOperator(ctx);
  const source = await inbox.read(ctx.params.name ?? '');
  if (!source) throw localizedProblem(404, 'mailGone');
  return openMail(source);
}

function confirmClear(site: PageContext, ctx: OpsContext, names: readonly string[], wrong: boolean): Promise<void> {
  const { length: count } = names;
  const title = ctx.state.t('mail.clear.question', { count });
  const typed = count > TYPED_ABOVE;
  return site.pages.show(ctx, 'mail/clear', { title, count, typed, wrong, until: names[0] ?? '', back: INBOX });
}
