/** A setting as the part of a page's address after `#`, and back. */
import {
  BACKENDS,
  type BackendName,
  changed,
  initialSetting,
  mostKept,
  type Setting,
  TASKS,
  type Task,
  taskRanges,
} from './setting.js'

/** The part of an address after `#` that brings a setting back. */
export function addressOf({ task, k, l, patch, gate, routers, n, seed, backend }: Setting): string {
  const parts = { task, k, l, patch, gate, routers, n, seed, ...(backend !== 'auto' && { backend }) }
  return new URLSearchParams(Object.entries(parts).map(([name, value]) => [name, String(value)])).toString()
}

/** A setting that was read from an address. */
export interface ReadSetting {
  readonly setting: Setting
  /** A sentence for each part that could not be used. */
  readonly notes: readonly string[]
}

/**
 * Reads a setting from an address. What is missing has the value that the task begins with; so has what cannot be used, with a note.
 *
 * @param hash the part after `#`, with it or without
 */
export function settingOf(hash: string): ReadSetting {
  const given = new URLSearchParams(hash.replace(/^#/, ''))
  const notes: string[] = []
  const oneOf = <Value extends string | number>(name: string, values: readonly Value[], otherwise: Value) => {
    const text = given.get(name)
    const value = values.find(candidate => String(candidate) === text)
    if (text !== null && value === undefined)
      notes.push(`${name} must be ${listed(values)}, got ${quoted(text)}: ${otherwise} is used`)
    return value ?? otherwise
  }
  const task: Task = oneOf('task', TASKS, 'digits')
  const { numExperts, patchSizes, gates, images, separateExperts, initial } = taskRanges[task]
  const patch = oneOf('patch', patchSizes, initial.patch)
  const most = mostKept({ task, patch })
  const setting = initialSetting(task, {
    patch,
    k: oneOf('k', numExperts, initial.k),
    l: oneOf('l', upTo(most), Math.min(initial.l, most)),
    gate: oneOf('gate', gates, initial.gate),
    n: oneOf('n', images, initial.n),
    seed: seedOf(given.get('seed'), notes),
    backend: oneOf<BackendName>('backend', BACKENDS, 'auto'),
  })
  const routers = oneOf('routers', separateExperts === undefined ? ['joint'] : ['joint', 'separate'], 'joint')
  if (routers === 'joint') return { setting, notes }
  if (given.has('k') && setting.k !== separateExperts)
    notes.push(
      `k must be ${separateExperts} where routers are trained separately, got ${setting.k}: ${separateExperts} is used`,
    )
  return { setting: changed(setting, { routers: 'separate' }), notes }
}

/** The largest seed that is read: larger ones would not come back as they are. */
const largestSeed = 999_999

function seedOf(text: string | null, notes: string[]): number {
  if (text === null) return 1
  const seed = Number(text)
  if (/^\d+$/.test(text) && seed <= largestSeed) return seed
  notes.push(`seed must be an integer from 0 to ${largestSeed}, got ${quoted(text)}: 1 is used`)
  return 1
}

function upTo(most: number): readonly number[] {
  return Array.from({ length: most }, (_, i) => i + 1)
}

function listed(values: readonly (string | number)[]): string {
  const [first, last] = [values[0], values.at(-1)]
  const isRange = values.length > 3 && values.every((value, i) => value === i + 1)
  if (isRange) return `an integer from ${first} to ${last}`
  return new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(values.map(String))
}

/** Text of a stranger, cut to what a note can show. */
function quoted(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text)
}
