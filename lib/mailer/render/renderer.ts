import path from 'node:path';
import type EmailTemplates from 'email-templates';
import { withoutUndici } from '../../internals/cheerio';
import { MissingTemplateError } from '../definition/errors';
import type { Parts, RenderRequest } from '../definition/mail-types';
import { CssInliner } from './css-inliner';
import { EscapedValues } from './escaped-values';
import { Views } from './views';

/** Passes through email-templates as one local, so that its own locals (`cache`, `pretty`) cannot hide the mail's. */
type Wrapped = { readonly request: RenderRequest } | { readonly html: string };

/** Width of the text part, characters. */
const WIDTH = 72;

/**
 * Renders the parts of a mail with email-templates. Only a process that delivers constructs a renderer, since loading
 * email-templates costs 40 MiB.
 *
 * The `render` of email-templates is replaced. It runs the engine twice, and leaves the first rejection unhandled, which ends
 * the process. It inlines CSS into subject and text, too. Its i18n writes to the locale files.
 */
export class Renderer {
  private readonly email: EmailTemplates<Wrapped>;
  private readonly inliner: CssInliner;
  private readonly views: Views;

  /** @param options.cache false: a template that has changed is read again. */
  constructor(
    private readonly options: {
      readonly templatesDir: string | readonly string[];
      readonly cache: boolean;
      readonly appUrl: string;
    },
  ) {
    const folders = [options.templatesDir].flat();
    this.views = new Views(folders, options);
    const Email = withoutUndici(() => require('email-templates') as typeof EmailTemplates);
    this.email = new Email<Wrapped>({
      send: true,
      preview: false,
      transport: { jsonTransport: true },
      juiceResources: {
        applyStyleTags: true,
        removeStyleTags: true,
        preserveMediaQueries: true,
        // Nothing is fetched, even where a text of the mail contains `data-inline`.
        webResources: {
          relativeTo: folders[0] ?? '',
          links: false,
          images: false,
          scripts: false,
          svgs: false,
          inlineAttribute: '(?!)',
        },
      },
      htmlToText: {
        wordwrap: WIDTH,
        selectors: [
          { selector: 'img', format: 'skip' },
          { selector: '[aria-hidden=true]', format: 'skip' },
          { selector: '.preheader', format: 'skip' },
        ],
      },
      render: (view, wrapped) => this.renderPart(view, wrapped),
    });
    this.inliner = new CssInliner((html) => this.email.juiceResources(html));
  }

  /** @throws TemplateError with file and line; MissingTemplateError when there is no template or layout. */
  async render(request: RenderRequest): Promise<Parts> {
    const folder = request.template;
    if (!this.views.exists(`${folder}/html`) && !this.views.exists(`${folder}/text`)) {
      throw new MissingTemplateError(
        `there is no ${this.views.file(`${folder}/html`)} and no text.ejs beside it: write one, or both`,
      );
    }
    const { html, text } = await this.email.renderAll(folder, { request });
    return { ...(typeof html === 'string' ? { html } : {}), text: tidy(String(text ?? '')) };
  }

  async deriveText(html: string): Promise<string> {
    const { text } = await this.email.renderAll('html', { html });
    return tidy(String(text ?? ''));
  }

  private async renderPart(view: string, wrapped: Wrapped | undefined): Promise<string | undefined> {
    const kind = path.basename(view);
    if (wrapped && 'html' in wrapped) return kind === 'html' ? wrapped.html : undefined;
    if (!wrapped || (kind !== 'html' && kind !== 'text')) return undefined;
    const { request } = wrapped;
    if (kind === 'text') return this.renderText(request);
    if (!this.views.exists(`${request.template}/html`)) return undefined;
    const values = new EscapedValues();
    const marked = this.renderHtml(request, values);
    // A template may do anything with what another one has written.
    const isWhole = values.count(marked) === values.size;
    return isWhole ? this.inliner.apply(marked, values) : this.inliner.inline(this.renderHtml(request));
  }

  private renderHtml(request: RenderRequest, values?: EscapedValues): string {
    const { template, layout } = request;
    const { locals, slots } = this.localsOf(request);
    const content = this.views.render(`${template}/html`, locals, values);
    if (layout === false) return content;
    slots.set('content', content);
    return this.views.render(this.layout(layout, 'html'), locals, values);
  }

  /**
   * The text of a mail that has no template for it: derived from the HTML without its layout. If the text has no layout either,
   * email-templates derives it from the whole HTML, for which this returns undefined.
   */
  private async renderText(request: RenderRequest): Promise<string | undefined> {
    const { template, layout } = request;
    const { locals, slots } = this.localsOf(request);
    const own = this.views.exists(`${template}/text`);
    if (!own && layout !== false && !this.views.exists(`layouts/${layout}/text`)) return undefined;
    const content = own
      ? this.views.render(`${template}/text`, locals)
      : await this.deriveText(this.views.render(`${template}/html`, locals));
    if (layout === false) return content;
    slots.set('content', content);
    return this.views.render(this.layout(layout, 'text'), locals);
  }

  private localsOf({ t, locale, subject, helpers, locals }: RenderRequest) {
    const slots = new Map<string, string>();
    const own = {
      t,
      locale,
      subject,
      appUrl: this.options.appUrl,
      provide: (name: string, text: string) => void slots.set(name, text),
      slot: (name: string) => slots.get(name) ?? '',
    };
    return { slots, locals: { ...own, ...helpers, ...locals } };
  }

  private layout(name: string, kind: string): string {
    const view = `layouts/${name}/${kind}`;
    if (this.views.exists(view)) return view;
    throw new MissingTemplateError(`there is no ${this.views.file(view)}: write it, or set static layout = false`);
  }
}

/** Removes the blank lines that template tags leave behind. */
function tidy(text: string): string {
  return `${text
    .replace(/[^\S\n]+$/gm, '')
    .replace(/\n{3,}/g, '\n\n')
    .trim()}\n`;
}
