import type { Events } from '../core/events';
import { Backlog } from '../support/backlog';
import type { FromSubscriber, Incoming, ToWorker } from './messages';
import { FORKED, type ParentChannel, tell } from './parent-channel';

/** In a child: carries broadcasts by the primary, which passes each on to the tree's other processes that subscribe. */
export class TreeCarrier {
  private readonly backlog: Backlog;

  /** @param parent default: the channel of this process. */
  constructor(
    events: Events,
    private readonly parent: ParentChannel = FORKED,
  ) {
    this.backlog = new Backlog(() => events.emit('broadcast.dropped', { to: 'the primary' }));
  }

  async listen(hear: (frame: string) => void): Promise<void> {
    this.parent.on('message', (given) => {
      const message = given as Incoming<ToWorker>;
      if (message?.catamount === 'broadcast') hear(message.frame);
    });
    // Later messages of ours, such as `ready`, reach the primary after this one.
    tell(this.parent, { catamount: 'subscribe' } satisfies FromSubscriber);
  }

  send(frame: string): void {
    const written = this.backlog.take(frame.length);
    if (written) tell(this.parent, { catamount: 'broadcast', frame } satisfies FromSubscriber, written);
  }
}
