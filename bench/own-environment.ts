/** What a measuring process of this library gets besides its parent's environment: what a user's has, and a quiet log. */
export function ownEnvironment(): Record<string, string> {
  return { TF_CPP_MIN_LOG_LEVEL: '2' }
}
