import ejs from 'ejs';
import { type Config, version } from '../../core/config';
import { Views } from '../../mailer/render/views';
import { escapeDirections } from '../../support/terminal-text';
import { accessMode } from './access-mode';
import { type OpsAdditions, tabPath } from './additions';
import type { Assets } from './assets';
import { Formatter } from './format';
import type { OpsContext, Visitor } from './page-types';
import { formToken, linkWith } from './shell';

interface PageOptions {
  readonly config: Pick<Config, 'environment' | 'ops'>;
  readonly assets: Assets;
  readonly additions?: OpsAdditions | undefined;
  readonly folder: string;
  /** Reads the numbers of the header, for every page that has one. Never rejects. */
  readonly counts: () => Promise<Counts>;
}

/** Path of the stream with the header's numbers, which pages follow that do not change by themselves. */
export const COUNTS = '/ops/counts';

/** Values for a view, besides those for the header and the footer. */
export interface PageLocals {
  readonly title: string;
  /** Address of an event stream that keeps the page up to date. Default: only its header. */
  readonly live?: string;
  /** Scripts that the page needs besides the common one, by asset name. */
  readonly scripts?: readonly string[];
  readonly [name: string]: unknown;
}

export class Layout {
  private readonly views: Views;
  private readonly build = `catamount ${version()} · Node ${process.versions.node}`;

  constructor(private readonly options: PageOptions) {
    // The indentation of the views is not sent. Their line breaks are, and HTML takes each for a space. Where neighbours must
    // touch, there is no break, or the line before ends with an EJS tag that swallows it (`-%>`).
    this.views = new Views([options.folder], { cache: true, rmWhitespace: true });
  }

  /** Answers with a page, or with `json` when the request asks for JSON. */
  async show(ctx: OpsContext, view: string, locals: PageLocals, json?: unknown): Promise<void> {
    if (ctx.state.json && json !== undefined) {
      ctx.body = json;
      return;
    }
    const { config, counts } = this.options;
    const name = (ctx.state.visitor as Visitor | undefined)?.name;
    const icons = new Icons();
    const shared = this.shared(ctx, icons);
    const content = this.views.render(view, { ...shared, ...locals });
    const layout = {
      nav: NAV,
      current: currentEntry(ctx),
      counts: shared.bare ? {} : await counts(),
      build: this.build,
      signedIn: !shared.bare && accessMode(config) === 'signed' && name === undefined,
      visitorName: name,
      tabs: this.options.additions?.tabs ?? [],
      tabPath,
      path: ctx.path,
    };
    ctx.type = 'html';
    const page = this.views.render('layout', {
      ...shared,
      ...layout,
      ...locals,
      content,
      sprite: () => icons.sprite(),
    });
    ctx.body = withDirectionsEscaped(page);
  }

  /** Renders a view without the layout around it. */
  part(ctx: OpsContext, view: string, locals: PageLocals): string {
    return withDirectionsEscaped(this.views.render(view, { ...this.shared(ctx, new Icons()), ...locals }));
  }

  private shared(ctx: OpsContext, icons: Icons) {
    const { state } = ctx;
    const { locale, theme, t } = state;
    // A request that was refused before sign-in has no visitor.
    const visitor: Visitor | undefined = state.visitor;
    return {
      t,
      locale,
      theme,
      bare: visitor === undefined || visitor.role === 'guest',
      icon: icons.show,
      coded: withCode,
      format: new Formatter(t),
      role: visitor?.role,
      token: visitor === undefined ? '' : formToken(visitor),
      link: (changes: Readonly<Record<string, string | null>>) => linkWith(ctx.path, ctx.querystring, changes),
      asset: (name: string) => this.options.assets.url(name),
      now: new Date(),
      live: COUNTS,
      scripts: [],
    };
  }
}

/** @returns HTML of a text, whose commands and code stand in backticks. */
function withCode(text: string): string {
  return ejs.escapeXML(text).replace(/`([^`]+)`/g, '<code>$1</code>');
}

/**
 * Escapes characters that change the direction of text. Errors, arguments and mails come from strangers, who must not turn the
 * words beside theirs. The value of a field stays as it is, since a form sends it back.
 */
function withDirectionsEscaped(page: string): string {
  if (escapeDirections(page) === page) return page;
  const parts = page.split(/( value="[^"]*")/);
  return parts.map((part, index) => (index % 2 === 1 ? part : escapeDirections(part))).join('');
}

/** Entries of the header, in order, with the text `nav.<key>`. An entry has the paths below `below`, else `href`. */
const NAV = [
  { key: 'overview', href: '/ops' },
  { key: 'queues', href: '/ops/jobs/queues' },
  { key: 'busy', href: '/ops/jobs/busy' },
  { key: 'scheduled', href: '/ops/jobs/scheduled' },
  { key: 'retry', href: '/ops/jobs/retry' },
  { key: 'dead', href: '/ops/jobs/dead' },
  { key: 'finished', href: '/ops/jobs/finished' },
  { key: 'cron', href: '/ops/jobs/cron' },
  { key: 'batches', href: '/ops/jobs/batches' },
  { key: 'classes', href: '/ops/jobs/classes' },
  { key: 'mail', href: '/ops/mail/deliveries', below: '/ops/mail' },
] as const;

type NavKey = (typeof NAV)[number]['key'];

/** Numbers beside the header's entries. null is shown as unknown; an absent key shows nothing. */
export type Counts = { readonly [K in NavKey]?: number | null };

function currentEntry(ctx: Pick<OpsContext, 'path'>): NavKey | undefined {
  const folder = (entry: (typeof NAV)[number]) => ('below' in entry ? entry.below : entry.href);
  const found = NAV.findLast((entry) => ctx.path === folder(entry) || ctx.path.startsWith(`${folder(entry)}/`))?.key;
  // The page of a job belongs to no entry, since the job may be in any list. A tab of the app marks itself.
  return found === 'overview' && /^\/ops\/(jobs|tabs)\//.test(ctx.path) ? undefined : found;
}

/** SVG content of each icon, in a box of 16 by 16, in the colour of the text. */
const DRAWINGS = {
  bad: '<path d="M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3z"/><path d="m6 6 4 4m0-4-4 4"/>',
  db: '<ellipse cx="8" cy="3.8" rx="5.2" ry="2.2"/><path d="M2.8 3.8v8.4c0 1.2 2.3 2.2 5.2 2.2s5.2-1 5.2-2.2V3.8M2.8 8c0 1.2 2.3 2.2 5.2 2.2s5.2-1 5.2-2.2"/>',
  deploy: '<path d="M8 10.5v-8M4.8 5.6 8 2.4l3.2 3.2M2.5 13.5h11"/>',
  drain: '<circle cx="8" cy="8" r="6.5"/><path d="M8 4.8v6m-2.4-2.3L8 10.9l2.4-2.4"/>',
  inbox: '<path d="M2 9.5 4 3.2h8l2 6.3v3.3H2z"/><path d="M2 9.5h3.4l1 1.6h3.2l1-1.6H14"/>',
  key: '<circle cx="5" cy="11" r="2.8"/><path d="m7 9 6.5-6.5M11 5l2 2"/>',
  mail: '<rect x="1.8" y="3.2" width="12.4" height="9.6" rx="1.4"/><path d="m2 4.4 6 4.4 6-4.4"/>',
  more: '<circle cx="8" cy="8" r="6.5"/><path d="M5.2 8h.1M8 8h.1M10.800 8h.1"/>',
  ok: '<circle cx="8" cy="8" r="6.5"/><path d="m5.2 8.2 2 2 3.6-4"/>',
  restart: '<path d="M13.5 8a5.5 5.5 0 1 1-1.7-4"/><path d="M13.8 1.6v3h-3"/>',
  unknown:
    '<circle cx="8" cy="8" r="6.5" stroke-dasharray="2.6 2.4"/><path d="M6.4 6.4a1.7 1.7 0 1 1 2.5 1.5c-.6.3-.9.7-.9 1.2M8 11.2v.1"/>',
  warn: '<path d="M8 2 14.5 13.5h-13z"/><path d="M8 6.5v3M8 11.6v.1"/>',
} as const;

export type IconName = keyof typeof DRAWINGS;

/** Collects the icons of one page: each is drawn once at the top and referenced by `use` elsewhere. */
class Icons {
  private readonly used = new Set<IconName>();

  /** @param className of the style sheet. */
  readonly show = (name: IconName, className = 'i'): string => {
    this.used.add(name);
    return `<svg class="${className}" viewBox="0 0 16 16" aria-hidden="true"><use href="#i-${name}"/></svg>`;
  };

  sprite(): string {
    const symbols = [...this.used].map(
      (name) => `<symbol id="i-${name}" viewBox="0 0 16 16">${DRAWINGS[name]}</symbol>`,
    );
    return `<svg hidden>${symbols.join('')}</svg>`;
  }
}
