import type { Adapter } from '../webgpu/adapter.js'

/** A backend, or one installation of it, that could not be used. */
export interface SkippedBackend<Name extends string = string> {
  readonly name: Name
  readonly why: string
}

/** A backend that is the current one of tfjs now. */
export interface SelectedBackend<Name extends string = string> {
  readonly name: Name
  /** Why `auto` takes it; one sentence, without its full stop. */
  readonly reason: string
  /** What users should know about how it computes; part of a sentence. */
  readonly remark?: string | undefined
  /** The graphics card, or what stands in its place. */
  readonly adapter?: Adapter
}

/** Version, threads or device, and folder of the current backend. */
export interface BackendFacts {
  /** Version of the TensorFlow library, or of the npm package. */
  readonly version?: string
  readonly threads?: number
  /** What computes, where it is not the processor's threads. */
  readonly device?: string
  /** What the device can take, where it is not the processor. */
  readonly adapter?: Adapter
  /** Folder of the package, where it is not a dependency. */
  readonly folder?: string
}

/** What a backend of a table has to do to be chosen. */
export interface SelectableBackend<
  Name extends string,
  Options,
  Selected extends SelectedBackend<Name> = SelectedBackend<Name>,
> {
  /** Its names: one for each kind of device that it computes on, the fastest first. */
  readonly names: readonly Name[]
  /** Whether `auto` may choose it: `auto` takes the first such backend of the table that can be used. */
  readonly isAutomatic: boolean
  /** The command that installs it under a name, where there is one. */
  providedBy?(name: Name): string
  /**
   * Makes it the current backend of tfjs, with the kernels that training needs, or is faster with.
   *
   * @param requested one of its names, or `auto` for the first of them that can be used
   * @param skipped gets what was tried and why it could not be used
   * @returns undefined where it cannot be used
   * @throws Error where it should be usable and is not
   */
  use(
    requested: Name | 'auto',
    options: Options,
    skipped: SkippedBackend<Name>[],
  ): Promise<Selected | undefined>
  /** Version, threads or device, and folder, once it is the current backend. */
  facts(used: Selected, options: Options): Promise<BackendFacts>
}

/** The backend that now computes, and why this one. */
export type Choice<
  Name extends string,
  Selected extends SelectedBackend<Name> = SelectedBackend<Name>,
> = Omit<Selected, 'reason' | 'remark'> & {
  /** One sentence. */
  readonly reason: string
  /** What was tried first and why it could not be used. */
  readonly skipped: readonly SkippedBackend<Name>[]
}

/**
 * Makes one backend of a table the current one of tfjs.
 *
 * @param name the one that is asked for, or `auto` for the first that can be used
 * @throws RangeError for an unknown name; Error when the backend that is asked for cannot be used, saying why
 */
export async function chooseBackend<
  Name extends string,
  Options,
  Selected extends SelectedBackend<Name> = SelectedBackend<Name>,
>(
  name: Name | 'auto',
  options: Options,
  table: readonly SelectableBackend<Name, Options, Selected>[],
): Promise<Choice<Name, Selected>> {
  const skipped: SkippedBackend<Name>[] = []
  const candidates = table.filter(({ names, isAutomatic }) =>
    name === 'auto' ? isAutomatic : names.includes(name),
  )
  if (name !== 'auto' && candidates.length === 0)
    throw unknownName(
      name,
      table.flatMap(backend => backend.names),
    )
  for (const backend of candidates) {
    const selected = await backend.use(name, options, skipped)
    if (!selected) continue
    const { reason, remark, ...used } = selected
    const why = name === 'auto' ? reason : 'it was asked for'
    return { ...used, reason: remark ? `${why}; ${remark}` : why, skipped }
  }
  throw unavailable(name, skipped, name === 'auto' ? undefined : candidates[0]?.providedBy?.(name))
}

function unknownName(name: string, names: readonly string[]): RangeError {
  const all = new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(['auto', ...names])
  return new RangeError(`useBackend: name must be ${all}, got ${name}`)
}

function unavailable(name: string, skipped: readonly SkippedBackend[], command: string | undefined): Error {
  const why = skipped.map(one => one.why).join('; ')
  return new Error(
    `useBackend: backend ${name} must be available, got: ${why || 'none'}` +
      (command === undefined ? '' : ` (run \`${command}\` to provide it)`),
  )
}
