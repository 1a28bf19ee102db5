import type { Operations } from '../cluster/stats';
import type { Config } from '../core/config';
import type { Events } from '../core/events';
import type { Deadline } from '../support/deadline';
import type { AppDefinition } from './app-definition';
import { WebProcess } from './web-process';
import type { WebSide } from './web-side';

/** How long a stopping process goes on accepting, ms, until the router in front has stopped sending. */
const POLITE_MS = 1500;

/** WEB_CONCURRENCY=0: the primary serves the web itself. */
export class SingleWeb implements WebSide {
  private readonly web: WebProcess;

  constructor(app: AppDefinition, config: Config, events: Events, tree: Operations) {
    this.web = new WebProcess(app, config, events, tree);
  }

  start(): Promise<string> {
    return this.web.start();
  }

  async stop(deadline: Deadline): Promise<number> {
    await this.web.becomePolite(Math.min(POLITE_MS, deadline.remaining() / 4));
    await this.web.drain(deadline.earlier(1000));
    return 0;
  }
}
