/** The text for an unknown value, as distinct from 0. */
export const UNKNOWN = '–';

type Figure = number | null | undefined;

function isKnown(figure: Figure): figure is number {
  return figure !== null && figure !== undefined && !Number.isNaN(figure);
}

/** Formats a size: `72 MB`. */
export function megabytes(mb: Figure): string {
  return isKnown(mb) ? `${Math.round(mb)} MB` : UNKNOWN;
}

/** Formats a number per second: `0.4`, `12`. */
export function rate(perS: Figure): string {
  if (!isKnown(perS)) return UNKNOWN;
  return perS > 0 && perS < 9.95 ? perS.toFixed(1) : String(Math.round(perS));
}

/** Formats a share from 0 to 1: `35 %`. */
export function percent(share: Figure): string {
  return isKnown(share) ? `${Math.round(share * 100)} %` : UNKNOWN;
}
