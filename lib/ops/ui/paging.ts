import { badQuery } from './bad-query';
import type { OpsContext } from './page-types';

export const PER_PAGE = 50;

/** The part of a list that a page shows, by `?page=`. */
export class Paging {
  private constructor(
    readonly page: number,
    readonly total: number,
  ) {}

  /** @param total length of the list. A page beyond the last one becomes the last. */
  static of(ctx: OpsContext, total: number): Paging {
    const requested = Math.floor(Number(ctx.query.page)) || 1;
    const last = Math.max(1, Math.ceil(total / PER_PAGE));
    return new Paging(Math.min(Math.max(1, requested), last), total);
  }

  /**
   * Reads the requested page, or the last one when the list has become shorter.
   * @param fetch reads PER_PAGE elements of the list from `offset` on. @throws ProblemError 400 for an invalid number.
   */
  static async read<T extends { readonly total?: number | undefined }>(
    ctx: OpsContext,
    fetch: (offset: number) => Promise<T>,
  ): Promise<T & { readonly paging: Paging }> {
    const offset = (readPage(ctx) - 1) * PER_PAGE;
    const found = await fetch(offset);
    const paging = Paging.of(ctx, found.total ?? 0);
    return { ...(paging.from === offset ? found : await fetch(paging.from)), paging };
  }

  /** Index of the first element of the page. */
  get from(): number {
    return (this.page - 1) * PER_PAGE;
  }

  /** Index after the last element of the page. */
  get to(): number {
    return Math.min(this.total, this.from + PER_PAGE);
  }

  get before(): number | null {
    return this.page > 1 ? this.page - 1 : null;
  }

  get after(): number | null {
    return this.to < this.total ? this.page + 1 : null;
  }
}

/** Reads the page's number, from 1. @throws ProblemError 400 when it is invalid. */
function readPage({ query }: OpsContext): number {
  const { page = '1' } = query;
  if (typeof page !== 'string' || !/^[1-9]\d{0,8}$/.test(page)) throw badQuery('page', String(page));
  return Number(page);
}
