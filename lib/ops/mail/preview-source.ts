import type { PreviewName } from '../../mailer/preview/preview-folder';
import type { PreviewReply } from '../../mailer/preview/preview-order';
import { folderVersion } from './folder-version';
import { type Order, PreviewChild, PreviewProcessGone } from './preview-child';

export interface PreviewSourceOptions {
  /** What previews are made of. */
  readonly folders: readonly string[];
  /** Do files change while we run? */
  readonly changing: boolean;
}

/** Where previews come from: a process that is started when one is asked for, and anew when its code has changed. */
export class PreviewSource {
  private child: PreviewChild | undefined;
  private code = '';

  constructor(private readonly options: PreviewSourceOptions) {}

  /** Another one whenever a file has changed that previews are made of. */
  async version(): Promise<string> {
    return (await folderVersion(this.options.folders)).all;
  }

  async names(): Promise<PreviewReply> {
    return this.ask({ ask: 'names' });
  }

  /** @param locale null: the mail's own. */
  async mail(name: PreviewName, locale: string | null): Promise<PreviewReply> {
    return this.ask({ ask: 'mail', locale, ...name });
  }

  /** Really sends it, to this address only. @param prefix before its subject. */
  async send(name: PreviewName, locale: string | null, to: string, prefix: string): Promise<PreviewReply> {
    return this.ask({ ask: 'send', locale, to, prefix, ...name });
  }

  /** @throws PreviewProcessGone when the process crashes, or stays silent. */
  private async ask(order: Order): Promise<PreviewReply> {
    if (this.options.changing) await this.renewChild();
    try {
      return await this.running().ask(order);
    } catch (error) {
      // It may have gone just as the order was on its way.
      if (error instanceof PreviewProcessGone && error.idle) return this.running().ask(order);
      throw error;
    }
  }

  private async renewChild(): Promise<void> {
    const { code } = await folderVersion(this.options.folders);
    if (code === this.code) return;
    this.code = code;
    this.child?.dismiss();
    this.child = undefined;
  }

  private running(): PreviewChild {
    if (!this.child?.usable) this.child = new PreviewChild();
    return this.child;
  }
}
