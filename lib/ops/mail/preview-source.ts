import type { PreviewName } from '../../mailer/preview/preview-folder';
import type { PreviewReply } from '../../mailer/preview/preview-order';
import { refusal } from '../page/refusal';
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

  /** @throws ProblemError 502 when the process crashes, or stays silent. */
  private async ask(order: Order): Promise<PreviewReply> {
    if (this.options.changing) await this.renewChild();
    // It may go, for want of work, just as the order is on its way.
    const again = (error: unknown) => {
      if (error instanceof PreviewProcessGone && error.idle) return this.running().ask(order);
      throw error;
    };
    return this.running()
      .ask(order)
      .catch(again)
      .catch((error: unknown) => {
        if (error instanceof PreviewProcessGone) throw refusal(502, 'previewsGone', { values: { how: error.how } });
        throw error;
      });
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
