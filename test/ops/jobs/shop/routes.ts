/** The shop has no routes of its own. */
export default function routes(): void {}
