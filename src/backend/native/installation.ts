import type { NativePackage } from './native.js'
import { ProgramError, type Run } from './run-program.js'

/** What every stage of an installation works with. */
export interface Installation {
  /** The folder to fill. */
  readonly stage: string
  readonly gpu: boolean
  readonly signal: AbortSignal | undefined
  /** Called with the name of each stage as it begins. */
  readonly onStage: (stage: string) => void
  readonly run: Run
  readonly fetch: typeof fetch
}

/** An installation of one npm package. */
export interface PackageInstallation extends Installation {
  readonly packageName: NativePackage
}

/** The error that says what an installation requires and what a program said instead; other errors stay as they are. */
export function unmet(requirement: string, cause: unknown, hint?: string): Error {
  if (!(cause instanceof ProgramError)) return cause as Error
  return new Error(`provideNative: ${requirement}, got: ${cause.message}${hint ? ` (${hint})` : ''}`, {
    cause,
  })
}
