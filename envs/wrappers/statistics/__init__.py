"""Statistics of visits, from which bonuses are computed: one file each, behind :class:`statistic.Statistic`."""
