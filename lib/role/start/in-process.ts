import type { Child } from '../../cluster/child-process';
import { InProcessChild } from '../../cluster/primary/in-process-child';
import type { ProcessorStart } from '../../cluster/primary/processor-handle';
import type { WorkerProcess } from '../../cluster/primary/worker-handle';
import { deferred } from '../../support/deferred';
import type { AppDefinition } from '../app/app-definition';
import type { WebRole } from './web';

const OWN_TITLE = 'catamount: primary';

/**
 * The parts of the tree that run in the primary's own process: the web with WEB_CONCURRENCY=0, the jobs with
 * JOB_PROCESSOR=inline. Their modules load only then.
 */
export class InProcess {
  private readonly titles = new Map<string, string>();
  private web: Promise<WebRole> | undefined;
  private contains: (error: Error) => boolean = () => false;

  /** @param onEnd called when a part has ended. Nothing replaces it, so the process has to end. */
  constructor(
    private readonly app: AppDefinition,
    private readonly onEnd: (code: number | null) => void,
  ) {}

  readonly worker = (): WorkerProcess => {
    const child = this.make('web');
    const web = deferred<WebRole>();
    this.web = web.promise;
    const run = async () => {
      const { runWebWorker } = await import('./web-worker');
      await runWebWorker(this.app, { parent: child.parent, onWeb: web.resolve });
    };
    void run();
    return { process: child, isConnected: () => child.connected, on: () => undefined };
  };

  /** Starts the job processor, once the web has connected, if there is one: they share its connections. */
  readonly processor = ({ identity, dead, quiet }: ProcessorStart): Child => {
    const child = this.make('jobs');
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const run = async () => {
      const shared = await (await this.web)?.lend(ended);
      const { runProcessor } = await import('./job-processor');
      const onContain = (contains: (error: Error) => boolean) => {
        this.contains = contains;
      };
      await runProcessor(this.app, { identity, dead, quiet }, { parent: child.parent, shared, onContain });
    };
    void run();
    return child;
  };

  /** @returns true when the error belongs to one job, which has been failed with it. */
  contain(error: Error): boolean {
    return this.contains(error);
  }

  private make(part: string): InProcessChild {
    const child = new InProcessChild((title) => {
      this.titles.set(part, title.replace(/^catamount: | 0 \[phase 0\]/g, ''));
      process.title = [OWN_TITLE, ...this.titles.values()].join(', ');
    });
    // Whoever started it hears of its end first, and may know why.
    child.once('exit', (code) => setImmediate(this.onEnd, code));
    return child;
  }
}
