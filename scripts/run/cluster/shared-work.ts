import { setTimeout as pause } from 'node:timers/promises'
import { heartbeatMs, silenceMs } from '../../../src/files/lock.js'

/** One of the tasks that share a grid of runs. */
export interface Share {
  /** Its number, from 0. */
  readonly task: number
  readonly tasks: number
}

/**
 * Runs in the order in which a task tries them: its own share, every `tasks`-th of them, then the shares of the tasks after it. So
 * tasks seldom want the same run, and what another one leaves undone is done.
 */
export function inOrderOf<Item>(items: readonly Item[], { task, tasks }: Share): Item[] {
  const turn = (index: number) => ((index % tasks) - task + tasks) % tasks
  return items
    .map((item, index) => ({ item, turn: turn(index) }))
    .sort((a, b) => a.turn - b.turn)
    .map(({ item }) => item)
}

/** How runs that other processes may have are worked off. */
export interface WorkingOff<Item> {
  /** Tries runs one after the other. @returns those that other processes have, with what is to be said of each */
  pass(items: readonly Item[]): Promise<ReadonlyMap<Item, string>>
  /** When the process that has a run gave its last sign of life; undefined where none has it. */
  signOfLife(item: Item): Promise<number | undefined>
  readonly signal: AbortSignal
  /** How often runs that others have are tried again, in milliseconds; every 2 seconds unless given. */
  readonly betweenMs?: number
  /** Is told once that nothing is left to do but to see whether others live. */
  readonly onWaiting?: (busy: ReadonlyMap<Item, string>) => void
}

/**
 * Works off runs that other processes share, on any machines. In the end it waits until each process that still has a run has
 * given a sign of life, or takes the run over where it has none.
 *
 * @returns the runs that are left to processes that live, with what is to be said of each
 */
export async function workOff<Item>(
  items: readonly Item[],
  { pass, signOfLife, signal, betweenMs = 2000, onWaiting }: WorkingOff<Item>,
): Promise<ReadonlyMap<Item, string>> {
  const left = new Map<Item, string>()
  const seen = new Map<Item, number | undefined>()
  // One of this machine that was stopped gives no sign of life, and is not taken over either.
  const deadline = performance.now() + silenceMs + 2 * heartbeatMs
  let busy = await pass(items)
  if (busy.size > 0 && !signal.aborted) onWaiting?.(busy)
  while (busy.size > 0 && !signal.aborted) {
    for (const item of busy.keys()) if (!seen.has(item)) seen.set(item, await signOfLife(item))
    await pause(betweenMs, undefined, { signal }).catch(() => undefined)
    if (signal.aborted) break
    const waiting: Item[] = []
    for (const [item, message] of await pass([...busy.keys()])) {
      const lives = (await signOfLife(item)) !== seen.get(item) || performance.now() > deadline
      if (lives) left.set(item, message)
      else waiting.push(item)
    }
    busy = new Map(waiting.map(item => [item, busy.get(item) ?? '']))
  }
  return new Map([...left, ...busy])
}
