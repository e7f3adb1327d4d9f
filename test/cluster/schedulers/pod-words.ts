/** A job as far as its words are concerned. */
interface PodJob {
  readonly spec: {
    readonly template: {
      readonly spec: { readonly containers: readonly { readonly command: readonly string[] }[] }
    }
  }
}

/**
 * The words that a pod of a job is started with: as Kubernetes documents it, `$(NAME)` is replaced by a variable where there is one,
 * and `$$` by `$`.
 */
export function podWords({ spec }: PodJob, variables: Readonly<Record<string, string>>): string[] {
  const [container] = spec.template.spec.containers
  return (container?.command ?? []).map(word =>
    word.replace(/\$\$|\$\(([^)]*)\)/g, (text, name?: string) =>
      name === undefined ? '$' : (variables[name] ?? text),
    ),
  )
}
