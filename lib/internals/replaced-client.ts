/** Puts the object behind another client behind this one, so that those who have this one use the other's connection. */
export function replaceClient(client: object, other: object): void {
  Object.setPrototypeOf(client, Object.getPrototypeOf(other));
}
