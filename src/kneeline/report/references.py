"""The literature that the report may cite, and the numbers it gets on a page: in the order of first mention."""

from __future__ import annotations

# Checked against what this project read of each (docs of the statistics stage, abstracts); no entry without a use.
REFERENCES = {
    "sw_chronic": "Schueller-Weidekamm C, Schueller G, Uffmann M, Bader T. Incidence of chronic knee lesions in "
    "long-distance runners based on training level: findings at MRI. Eur J Radiol 2006;58:286-293. "
    "doi:10.1016/j.ejrad.2005.11.010",
    "sw_marathon": "Schueller-Weidekamm C, Schueller G, Uffmann M, Bader T. Does marathon running cause acute lesions "
    "of the knee? Evaluation with magnetic resonance imaging. Eur Radiol 2006;16:2179-2185. "
    "doi:10.1007/s00330-005-0132-y",
    "vincent": "Vincent HK, Coffey K, Villasuso A, et al. Accuracy of self-reported foot strike pattern detection "
    "among endurance runners. Front Sports Act Living 2024;6:1491486. doi:10.3389/fspor.2024.1491486",
    "shellock": "Shellock FG, et al. Do asymptomatic marathon runners have an increased prevalence of meniscal "
    "abnormalities? An MR study of the knee in 23 volunteers. AJR Am J Roentgenol 1991;157:1239-1241",
    "de_smet": "De Smet AA, Tuite MJ. Use of the two-slice-touch rule for the MRI diagnosis of meniscal tears. AJR Am "
    "J Roentgenol 2006;187:911-914",
    "schweitzer": "Schweitzer ME, Falk A, Berthoty D, Mitchell M, Resnick D. Knee effusion: normal distribution of "
    "fluid. AJR Am J Roentgenol 1992;159:361-363",
    "altman": "Altman AR, Davis IS. A kinematic method for footstrike pattern detection in barefoot and shod runners. "
    "Gait Posture 2012;35:298-300",
    "cavanagh": "Cavanagh PR, Lafortune MA. Ground reaction forces in distance running. J Biomech 1980;13:397-406",
    "mccullagh": "McCullagh P. Regression models for ordinal data. J R Stat Soc B 1980;42:109-142",
    "bell": "Bell RM, McCaffrey DF. Bias reduction in standard errors for linear regression with multi-stage samples. "
    "Surv Methodol 2002;28:169-181",
    "kauermann": "Kauermann G, Carroll RJ. A note on the efficiency of sandwich covariance matrix estimation. J Am "
    "Stat Assoc 2001;96:1387-1396",
    "liang": "Liang KY, Zeger SL. Longitudinal data analysis using generalized linear models. Biometrika 1986;73:13-22",
    "mancl": "Mancl LA, DeRouen TA. A covariance estimator for GEE with improved small-sample properties. Biometrics "
    "2001;57:126-134",
    "firth": "Firth D. Bias reduction of maximum likelihood estimates. Biometrika 1993;80:27-38",
    "brant": "Brant R. Assessing proportionality in the proportional odds model for ordinal logistic regression. "
    "Biometrics 1990;46:1171-1178",
    "peterson": "Peterson B, Harrell FE. Partial proportional odds models for ordinal response variables. Appl Stat "
    "1990;39:205-217",
    "harrell": "Harrell FE. Regression Modeling Strategies. 2nd ed. Springer 2015",
    "rubin": "Rubin DB. Multiple Imputation for Nonresponse in Surveys. Wiley 1987",
    "barnard": "Barnard J, Rubin DB. Small-sample degrees of freedom with multiple imputation. Biometrika "
    "1999;86:948-955",
    "von_hippel": "von Hippel PT. Regression with missing Ys: an improved strategy for analyzing multiply imputed "
    "data. Sociol Methodol 2007;37:83-117",
    "holm": "Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat 1979;6:65-70",
    "benjamini": "Benjamini Y, Hochberg Y. Controlling the false discovery rate: a practical and powerful approach to "
    "multiple testing. J R Stat Soc B 1995;57:289-300",
    "wilson": "Wilson EB. Probable inference, the law of succession, and statistical inference. J Am Stat Assoc "
    "1927;22:209-212",
    "clopper": "Clopper CJ, Pearson ES. The use of confidence or fiducial limits illustrated in the case of the "
    "binomial. Biometrika 1934;26:404-413",
    "efron": "Efron B. Better bootstrap confidence intervals. J Am Stat Assoc 1987;82:171-185",
    "zou": "Zou GY. On the estimation of additive interaction by use of the four-by-two table and beyond. Am J "
    "Epidemiol 2008;168:212-224",
    "knol": "Knol MJ, VanderWeele TJ. Recommendations for presenting analyses of effect modification and interaction. "
    "Int J Epidemiol 2012;41:514-520",
    "e_value": "VanderWeele TJ, Ding P. Sensitivity analysis in observational research: introducing the E-value. Ann "
    "Intern Med 2017;167:268-274",
    "whitehead": "Whitehead J. Sample size calculations for ordered categorical data. Stat Med 1993;12:2257-2271",
    "cohen": "Cohen J. Weighted kappa: nominal scale agreement with provision for scaled disagreement or partial "
    "credit. Psychol Bull 1968;70:213-220",
    "gwet": "Gwet KL. Computing inter-rater reliability and its variance in the presence of high agreement. Br J Math "
    "Stat Psychol 2008;61:29-48",
    "shrout": "Shrout PE, Fleiss JL. Intraclass correlations: uses in assessing rater reliability. Psychol Bull "
    "1979;86:420-428",
    "bland": "Bland JM, Altman DG. Statistical methods for assessing agreement between two methods of clinical "
    "measurement. Lancet 1986;1:307-310",
    "blackwell": "Blackwell M, Honaker J, King G. A unified approach to measurement error and missing data: overview "
    "and applications. Sociol Methods Res 2017;46:303-341",
    "strobe": "von Elm E, Altman DG, Egger M, et al. The Strengthening the Reporting of Observational Studies in "
    "Epidemiology (STROBE) statement. Lancet 2007;370:1453-1457",
    "claim": "Tejani AS, Klontzas ME, Gatti AA, et al. Checklist for Artificial Intelligence in Medical Imaging "
    "(CLAIM): 2024 update. Radiol Artif Intell 2024;6:e240300. doi:10.1148/ryai.240300",
}


class Citations:
    """Hands out numbers; remembers in which order."""

    def __init__(self) -> None:
        self._order: list[str] = []

    def __call__(self, *keys: str) -> str:
        """`[1,2]` for the references of these keys.

        >>> cite = Citations(); cite("mccullagh"), cite("bell", "mccullagh")
        ('[1]', '[1,2]')
        """
        for key in keys:
            if key not in REFERENCES:
                raise KeyError(key)
            if key not in self._order:
                self._order.append(key)
        return f"[{','.join(str(n) for n in sorted(self._order.index(key) + 1 for key in keys))}]"

    @property
    def listed(self) -> list[str]:
        """What was cited, in the order of its numbers."""
        return [REFERENCES[key] for key in self._order]
