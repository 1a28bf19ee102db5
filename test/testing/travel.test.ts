import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { travel, travelBack, travelTo } from '../../lib/testing';
import { until } from '../support/until';

const NEW_YEAR = '2030-01-01T00:00:00.000Z';

describe('travelling in time', () => {
  afterEach(travelBack);

  it('stops the clock, for every way to read the time', async () => {
    const Before = Date;
    travelTo(new Date(NEW_YEAR));
    assert.equal(Date.now(), Date.parse(NEW_YEAR));
    assert.equal(new Date().toISOString(), NEW_YEAR);
    assert.match(Date(), /2030|2029/);
    const since = Before.now();
    await until('time has passed outside', () => Before.now() > since);
    assert.equal(new Date().toISOString(), NEW_YEAR, 'it stands still');
    assert.equal(new Date('2020-02-02').getUTCFullYear(), 2020);
    assert.equal(new Date(2020, 1).getFullYear(), 2020);
    assert.equal(Date.UTC(1970), 0);
    assert.ok(new Date() instanceof Date && new Date() instanceof Before);
    class Day extends Date {}
    assert.ok(new Day() instanceof Day);
    assert.equal(new Day().toISOString(), NEW_YEAR);
    travelBack();
    assert.equal(Date, Before);
  });

  it('continues from the current moment, and returns directly', () => {
    travelTo(NEW_YEAR);
    travel('1d');
    assert.equal(new Date().toISOString(), '2030-01-02T00:00:00.000Z');
    travelTo('2031-01-01');
    assert.equal(new Date().getUTCFullYear(), 2031);
    travelBack();
    travelBack();
    assert.ok(new Date().getUTCFullYear() < 2030);
  });

  it('lasts only as long as a function runs, even if it throws', async () => {
    const year = () => new Date().getUTCFullYear();
    travelTo(NEW_YEAR);
    assert.equal(
      await travelTo('2040-01-01', async () => {
        await setImmediate();
        return travel('366d', year);
      }),
      2041,
    );
    assert.equal(year(), 2030);
    await assert.rejects(
      travelTo('2050-01-01', () => {
        throw new Error(`no ${year()}`);
      }),
      /no 2050/,
    );
    assert.equal(year(), 2030);
  });

  it('rejects what is neither a date nor a duration', () => {
    assert.throws(() => travelTo('soon'), /travelTo: "soon" is not a date/);
    // @ts-expect-error not a duration
    assert.throws(() => travel('soon'), /travel: "soon" is not a duration/);
  });
});
