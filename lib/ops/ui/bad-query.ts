import { localizedProblem } from './shell';

/** A 400 for a part of the query. @param reason key of the text `errors.badQuery.<reason>`, by default the name. */
export function badQuery(name: string, value: string, reason = name) {
  const shown = value.length > 60 ? `${value.slice(0, 60)}…` : value;
  return localizedProblem(400, `badQuery.${reason}`, { values: { name, value: shown } });
}
