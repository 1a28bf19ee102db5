export type { JsonValue } from '../../core/json';
