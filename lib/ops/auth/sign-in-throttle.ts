import type { Redis } from '../../core/redis';
import { answerWithin } from '../../core/redis-script';
import { clientNetwork } from '../../support/client-network';
import { type RateLimit, RateLimits } from '../../web/rate-limit';

/** Number of wrong passwords that one address may give within PAUSE_SECONDS. */
export const MAX_TRIES = 5;
export const PAUSE_SECONDS = 15 * 60;
/** Tries within UNKNOWN_SECONDS of all addresses together that have never signed in: guesses may come from many. */
const MAX_UNKNOWN = 10;
const UNKNOWN_SECONDS = 10;
/** Timeout of a reply of Redis, ms. */
const ANSWER_MS = 1000;
const KNOWN = 'catamount:ops:known:';
/** An address with a successful sign-in stays known for this long, s. */
const KNOWN_SECONDS = 90 * 24 * 60 * 60;

export interface Refusal {
  /** Seconds until the next try may be made; 0: the password may be checked. */
  readonly waitSeconds: number;
  /** The address itself may try, but too many others do. */
  readonly busy: boolean;
}

/** Limits password tries: those of one address, and those of all unknown addresses together. */
export class SignInThrottle {
  private readonly perAddress: RateLimit;
  private readonly unknown: RateLimit;

  constructor(
    appName: string,
    private readonly redis: Redis,
  ) {
    const limits = new RateLimits(appName, redis.isOff ? undefined : redis.client);
    this.perAddress = limits.limit('ops-address', { count: MAX_TRIES, seconds: PAUSE_SECONDS });
    this.unknown = limits.limit('ops-unknown', { count: MAX_UNKNOWN, seconds: UNKNOWN_SECONDS });
  }

  /** Counts a try before the password is checked, so that concurrent tries cannot slip past the limit. */
  async take(ip: string): Promise<Refusal> {
    const address = clientNetwork(ip);
    const pauseSeconds = await this.perAddress.take(address);
    if (pauseSeconds > 0 || (await this.isKnown(address))) return { waitSeconds: pauseSeconds, busy: false };
    const waitSeconds = await this.unknown.take('all');
    // No address is locked out because of others.
    if (waitSeconds > 0) await this.perAddress.giveBack(address);
    return { waitSeconds, busy: waitSeconds > 0 };
  }

  /** After the right password: the wrong tries before it were typing errors, and the address is known. */
  async forget(ip: string): Promise<void> {
    const address = clientNetwork(ip);
    await this.perAddress.forget(address);
    const set = this.redis.client.set(KNOWN + address, '1', { EX: KNOWN_SECONDS });
    await answerWithin(ANSWER_MS, set).catch(() => undefined);
  }

  /** False while Redis is unavailable. */
  private async isKnown(address: string): Promise<boolean> {
    return (await answerWithin(ANSWER_MS, this.redis.client.exists(KNOWN + address)).catch(() => 0)) > 0;
  }
}
