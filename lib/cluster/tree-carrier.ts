import type { Events } from '../core/events';
import { Backlog } from '../support/backlog';
import type { FromSubscriber, Incoming, ToWorker } from './messages';

/** In a child: carries broadcasts by the primary, which passes each on to the tree's other processes that subscribe. */
export class TreeCarrier {
  private readonly backlog: Backlog;

  constructor(events: Events) {
    this.backlog = new Backlog(() => events.emit('broadcast.dropped', { to: 'the primary' }));
  }

  async listen(hear: (frame: string) => void): Promise<void> {
    process.on('message', (given: unknown) => {
      const message = given as Incoming<ToWorker>;
      if (message?.catamount === 'broadcast') hear(message.frame);
    });
    // Later messages of ours, such as `ready`, reach the primary after this one.
    tell({ catamount: 'subscribe' });
  }

  send(frame: string): void {
    const written = this.backlog.take(frame.length);
    if (written) tell({ catamount: 'broadcast', frame }, written);
  }
}

function tell(message: FromSubscriber, written: () => void = () => undefined): void {
  if (process.connected && process.send) process.send(message, undefined, undefined, written);
  else written();
}
