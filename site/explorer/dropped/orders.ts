import type { Question } from '../../../src/explore/explorer.js'

/** What a page orders of its worker; each order is answered by its number. */
export type Order =
  | { readonly do: 'ask'; readonly question: Question }
  | { readonly do: 'picture'; readonly network: number; readonly image: number; readonly longest: number }
  | { readonly do: 'add images'; readonly files: readonly DroppedFile[] }
  | { readonly do: 'add network'; readonly files: readonly DroppedFile[] }

/** A file and its path: what says the path is lost on the way to a worker. */
export interface DroppedFile {
  readonly file: File
  readonly path: string
}

/** An order on its way. */
export interface NumberedOrder {
  readonly number: number
  readonly order: Order
}

/** The answer to an order. */
export type OrderAnswer =
  | { readonly number: number; readonly value: unknown }
  | { readonly number: number; readonly problem: string }
