const _imports_0 = "/results/pruning/figure.svg";
export {
  _imports_0 as _
};
