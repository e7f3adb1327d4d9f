/** All of the worker that needs tfjs, in one module to import when images are on the page. */
import { useBackend } from '../../../src/backend/page/use-backend.js'
import type { Report } from '../protocol.js'
import type { BackendName } from '../setting.js'
import { Session, type SessionStart } from './session.js'

export { savedSetting } from './model-files.js'

/** What is asked of a session besides what it begins with. */
export interface OpenOptions {
  readonly backend: BackendName
  /** Address of the folder of tfjs's `.wasm` files. */
  readonly wasmPaths: string
  /** Whether it trains at once. */
  readonly isRunning: boolean
}

/**
 * Opens a session on a backend.
 *
 * @throws Error where the backend cannot be used, saying why, and as `Session.open`
 */
export async function openSession(
  start: SessionStart,
  { backend, wasmPaths, isRunning }: OpenOptions,
  post: (report: Report) => void,
): Promise<Session> {
  const { name, reason } = await useBackend(backend, { wasmPaths })
  post({ type: 'backend', session: start.session, name, reason })
  return Session.open(start, isRunning, post)
}
