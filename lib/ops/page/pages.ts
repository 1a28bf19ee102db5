import type { Config } from '../../core/config';
import { version } from '../../core/version';
import { Views } from '../../mailer/views';
import { formToken } from '../access/form-token';
import { accessMode } from '../access/mode';
import type { Visitor } from '../access/session';
import type { OpsContext } from '../context';
import type { Assets } from './assets';
import { Format } from './format';
import { Icons } from './icons';
import { type Counts, currentEntry, NAV } from './nav';

export interface PageOptions {
  readonly config: Pick<Config, 'environment' | 'ops'>;
  readonly assets: Assets;
  /** Of the views. */
  readonly folder: string;
  /** Numbers for the header; asked for every page that has one. */
  readonly counts?: () => Promise<Counts>;
}

/** What a view is given besides what the header and the footer need. */
export interface PageLocals {
  readonly title: string;
  /** Address of an event stream: makes the page live. */
  readonly live?: string;
  /** Assets that the page needs besides the one script of all. */
  readonly scripts?: readonly string[];
  readonly [name: string]: unknown;
}

/** Makes pages of views, in the one layout. */
export class Pages {
  private readonly views: Views;
  private readonly build = `catamount ${version()} · Node ${process.versions.node}`;

  constructor(private readonly options: PageOptions) {
    this.views = new Views(options.folder, { cache: options.config.environment === 'production' });
  }

  /** Answers with a page; with `json` instead where JSON was asked for. */
  async show(ctx: OpsContext, view: string, locals: PageLocals, json?: unknown): Promise<void> {
    if (ctx.state.json && json !== undefined) {
      ctx.body = json;
      return;
    }
    const { assets, config, counts } = this.options;
    const { state } = ctx;
    const { locale, theme, t } = state;
    // A request that was refused at the door has none.
    const visitor: Visitor | undefined = state.visitor;
    const icons = new Icons();
    const bare = visitor === undefined || visitor.role === 'guest';
    const shared = {
      t,
      locale,
      theme,
      bare,
      icon: icons.show,
      format: new Format(locale),
      role: visitor?.role,
      token: visitor === undefined ? '' : formToken(visitor),
      link: (changes: Readonly<Record<string, string | null>>) => linkFrom(ctx, changes),
      asset: (name: string) => assets.url(name),
      now: new Date(),
      live: undefined,
      scripts: [],
    };
    const content = this.views.render(view, { ...shared, ...locals });
    const layout = {
      nav: NAV,
      current: currentEntry(ctx),
      counts: bare || !counts ? {} : await counts().catch(() => unknownCounts()),
      build: this.build,
      signedIn: !bare && accessMode(config) === 'signed',
    };
    ctx.type = 'html';
    ctx.body = this.views.render('layout', { ...shared, ...layout, ...locals, content, sprite: () => icons.sprite() });
  }
}

function unknownCounts(): Counts {
  return Object.fromEntries(NAV.map(({ key }) => [key, null]));
}

/** This page's address with other values in its query; null takes one out. */
function linkFrom(ctx: OpsContext, changes: Readonly<Record<string, string | null>>): string {
  const query = new URLSearchParams(ctx.querystring);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  return text === '' ? ctx.path : `${ctx.path}?${text}`;
}
